using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Compare and Write as one.</summary>
public sealed class FusedTests
{
    private const int MissingFused = 0x00A;
    private const int FailedFused = 0x009;

    private static RawCommand Compare(NvmeRig rig, ulong block = 0, int blocks = 1) => Flagged(rig.Transfer(0x05, block, blocks), 1);

    private static RawCommand Write(NvmeRig rig, ulong block = 0, int blocks = 1) => Flagged(rig.Transfer(0x01, block, blocks, offset: 4096), 2);

    private static RawCommand Flagged(RawCommand command, byte fuse)
    {
        command.Flags = fuse;
        return command;
    }

    [Theory]
    [InlineData(false, 0, 0)]
    [InlineData(true, 0x285, FailedFused)]
    public async Task Write_takes_place_when_the_compare_succeeds(bool differs, int compareStatus, int writeStatus)
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1);
        rig.Data.Span[100] = (byte)(differs ? 1 : 0);
        rig.Data.Slice(4096, 512).Fill(0x5A);

        queue.Put(Compare(rig));
        queue.Submit(Write(rig));
        Assert.Equal(compareStatus, queue.Take().Status);
        Assert.Equal(writeStatus, queue.Take().Status);

        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
        Assert.Equal(differs ? 0 : 0x5A, rig.Data.Span[0]);
    }

    [Theory]
    [InlineData(1UL, 1)]
    [InlineData(0UL, 2)]
    public async Task Pair_of_different_blocks_is_refused(ulong block, int blocks)
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1);

        queue.Put(Compare(rig));
        queue.Submit(Write(rig, block, blocks));

        Assert.Equal(2, queue.Take().Status);
        Assert.Equal(FailedFused, queue.Take().Status);
    }

    [Fact]
    public async Task First_without_second_is_aborted_when_another_command_comes()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1, entries: 4);
        for (int round = 0; round < 8; round++)
        {
            ushort first = queue.Submit(Compare(rig));
            ushort other = queue.Submit(rig.Transfer(0x02, 0, 1));

            RawCompletion aborted = queue.Take();
            Assert.Equal((first, MissingFused), (aborted.Cid, aborted.Status));
            RawCompletion read = queue.Take();
            Assert.Equal((other, 0), (read.Cid, read.Status));
        }
    }

    [Fact]
    public async Task Queue_with_half_a_pair_can_be_deleted_and_its_completions_used_again()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1, entries: 2);
        for (int round = 0; round < 4; round++)
        {
            queue.Submit(Compare(rig));
            Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x00).Set(10, 1)).Status);
            var again = new RawQueue(rig, 1, 2, queue.Submissions, queue.Completions);
            Assert.Equal(0, rig.Admin.Execute(NvmeRig.CreateSubmissions(again)).Status);
            queue = again.Following(queue);
        }

        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
    }

    [Fact]
    public async Task Concurrent_pairs_count_without_losing_any()
    {
        const int Rounds = 200;
        await using var rig = new NvmeRig();
        RawQueue[] queues = [rig.CreateQueue(1), rig.CreateQueue(2)];

        // Each takes the number that is there and writes one more, when nobody else has.
        await Task.WhenAll(queues.Select((queue, lane) => Task.Run(() =>
        {
            int place = (lane + 1) * 16384;
            for (int done = 0; done < Rounds;)
            {
                Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 7, 1, offset: place)).Status);
                uint value = BitConverter.ToUInt32(rig.Data.Slice((nuint)place, 4));
                rig.Data.Slice((nuint)place, 512).CopyTo(rig.Data.Slice((nuint)place + 4096, 512));
                BitConverter.TryWriteBytes(rig.Data.Slice((nuint)place + 4096, 4), value + 1);
                queue.Put(Flagged(rig.Transfer(0x05, 7, 1, offset: place), 1));
                queue.Submit(Flagged(rig.Transfer(0x01, 7, 1, offset: place + 4096), 2));
                int compare = queue.Take().Status;
                int write = queue.Take().Status;
                Assert.True((compare, write) is (0, 0) or (0x285, FailedFused), $"{compare:X} {write:X}");
                done += write == 0 ? 1 : 0;
            }
        })));

        Assert.Equal(0, queues[0].Execute(rig.Transfer(0x02, 7, 1)).Status);
        Assert.Equal(2U * Rounds, BitConverter.ToUInt32(rig.Data.Slice(0, 4)));
    }
}
