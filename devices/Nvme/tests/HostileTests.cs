using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.User;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>A host that does everything wrong: the controller neither ends, nor hangs, nor grows, nor leaves its memory.</summary>
public sealed class HostileTests
{
    private static int Rounds => Environment.GetEnvironmentVariable("VFIO_TEST_LONG") == "1" ? 40_000 : 400;

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    public async Task Random_commands_and_registers_leave_a_controller_that_can_be_reset(int seed, bool polled)
    {
        await using var rig = new NvmeRig(new NvmeOptions { Polled = polled, Queues = 4, Namespaces = [new() { Size = 1 << 20 }, new() { Size = 1 << 20, BlockSize = 4096 }, new() { Size = 1 << 20, MetadataSize = 8, Protection = 1 }], ManagedCapacity = 1 << 20 }, enable: false);
        var random = new Random(seed);
        byte[] admin = [0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x15, 0x7C, 0x80];
        byte[] io = [0x00, 0x01, 0x02, 0x04, 0x05, 0x08, 0x09, 0x0C, 0x19];
        for (int round = 0; round < Rounds / 40; round++)
        {
            Restart(rig);
            RawQueue queue = rig.CreateQueue(1, entries: 16);
            for (int i = 0; i < 40; i++)
            {
                random.NextBytes(rig.Data.Slice(0, 4096));
                RawQueue target = random.Next(3) == 0 ? rig.Admin : queue;
                target.Put(RandomCommand(rig, random, target.Id == 0 ? admin : io));
                target.Ring();
                switch (random.Next(8))
                {
                    case 0:
                        rig.Bar.Write32(0x1000 + (4U * (uint)random.Next(12)), random.Next(2) == 0 ? (uint)random.Next(40) : (uint)random.Next());
                        break;
                    case 1:
                        rig.Bar.Write32(4U * (uint)random.Next(0x20), (uint)random.Next());
                        break;
                    case 2:
                        _ = rig.Bar.Read32(4U * (uint)random.Next(0x800));
                        break;
                    case 3:
                        while (target.TryTake(out _))
                        {
                        }

                        break;
                }
            }
        }

        Restart(rig);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);

        // The host may have deleted, formatted or spoilt what there was: what the program adds is as it should be.
        uint id = rig.Pair.Device.AttachNamespace(new NvmeNamespaceOptions { Size = 1 << 20 });
        Assert.Equal(0, rig.CreateQueue(1).Execute(rig.Transfer(0x02, 0, 1, nsid: id)).Status);
    }

    /// <summary>The host changes a command in its queue without a pause, between a block that there is and one that there is not: what was checked is what is done.</summary>
    [Theory]
    [InlineData(0x02)]
    [InlineData(0x01)]
    [InlineData(0x05)]
    public async Task Threat19_command_that_changes_meanwhile_is_done_as_it_was_checked(byte opcode)
    {
        const int Success = 0;
        const int OutOfRange = 0x80;
        const int CompareFailure = 0x285;
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1, entries: 2);
        using Flipping flipping = new(queue.Submissions, byteOffset: 11 * 4, 0, 0x1000);
        int[] seen = new int[2];
        for (int round = 0; round < Rounds * 5 || (seen.Contains(0) && round < Rounds * 2500); round++)
        {
            RawCompletion completion = queue.Execute(rig.Transfer(opcode, 0, 8));
            int status = completion.Status & 0x7FF;
            Assert.Contains(status, (int[])[Success, OutOfRange, CompareFailure]);
            seen[status == OutOfRange ? 1 : 0]++;
        }

        // Both were done, or nothing changed in between.
        Assert.DoesNotContain(0, seen);
    }

    /// <summary>
    /// Its doorbell comes while the device is still at the completion, which lasts here: the entry goes by message. With room for one entry, a doorbell
    /// that is not believed is the end.
    /// </summary>
    [Fact]
    public async Task Host_that_takes_a_completion_at_once_is_believed()
    {
        await using var rig = new NvmeRig(overSocket: true, client: new VfioUserClientOptions { ShareMemory = false });
        RawQueue queue = rig.CreateQueue(1, entries: 2);
        for (int i = 0; i < Rounds * 5; i++)
        {
            queue.Submit(rig.Transfer(0x02, 0, 1));
            long started = Environment.TickCount64;
            while (!queue.TryTake(out _))
            {
                Assert.InRange(Environment.TickCount64 - started, 0, 10_000);
            }
        }
    }

    [Fact]
    public async Task Host_that_never_takes_completions_stops_only_its_queue()
    {
        await using var rig = new NvmeRig();
        RawQueue stuck = rig.CreateQueue(1, entries: 8);
        RawQueue other = rig.CreateQueue(2);
        for (int i = 0; i < 7; i++)
        {
            stuck.Put(rig.Transfer(0x02, 0, 1));
        }

        stuck.Ring();
        NvmeRig.WaitFor(() => stuck.TryTake(out RawCompletion last, ring: false) && last.Head == 7, "the completions do not come");
        stuck.Submit(rig.Transfer(0x02, 0, 1));
        Thread.Sleep(20);
        Assert.False(stuck.TryTake(out _, ring: false));
        Assert.Equal(0, other.Execute(rig.Transfer(0x02, 0, 1)).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x00).Set(10, 1)).Status);
    }

    [Fact]
    public async Task Endless_events_take_no_memory_and_keep_the_controller_alive()
    {
        await using var rig = new NvmeRig();
        for (int i = 0; i < 10_000; i++)
        {
            rig.Bar.Write32(0x1000 + (8U * (1 + (uint)(i % 16))), (uint)i);
        }

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
    }

    [Fact]
    public async Task Doorbells_of_other_widths_and_before_the_enable_do_nothing()
    {
        await using var rig = new NvmeRig(enable: false);
        rig.Bar.Write32(0x1000, 5);
        rig.Bar.Write8(0x1000, 1);
        rig.Bar.Write16(0x1002, 1);
        Assert.Equal(0U, rig.Status);
        rig.Enable();
        rig.Bar.Write8(0x1000, 1);
        rig.Bar.Write16(0x1004, 1);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Memory_that_is_unmapped_under_the_queues_is_no_longer_touched(bool overSocket)
    {
        await using var rig = new NvmeRig(overSocket: overSocket, enable: false);
        DmaBuffer memory = rig.Connection.AllocateDma(64 * 1024, iova: 0x9000_0000);
        rig.Bar.Write32(0x24, 0x001F_001F);
        rig.Bar.Write64(0x28, memory.Iova);
        rig.Bar.Write64(0x30, memory.Iova + 4096);
        rig.EnableBus();
        rig.Bar.Write32(NvmeRig.Cc, NvmeRig.EnabledConfiguration);
        NvmeRig.WaitFor(() => rig.Status == 1, "the controller does not get ready");
        memory.Dispose();

        rig.Bar.Write32(0x1000, 8);
        NvmeRig.WaitFor(() => rig.Status == 3, "the controller does not fail");
        Restart(rig);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
    }

    [Fact]
    public async Task Reading_and_writing_allocates_nothing_for_each_command()
    {
        const int Batch = 32;
        const int Batches = 400;
        await using var rig = new NvmeRig(new NvmeOptions { Polled = true });
        RawQueue queue = rig.CreateQueue(1, entries: 64);
        for (int i = 0; i < 64; i++)
        {
            queue.Put(rig.Transfer(i % 2 == 0 ? (byte)0x01 : (byte)0x02, (ulong)i, 24));
        }

        void Run(int batches)
        {
            for (int i = 0; i < batches; i++)
            {
                queue.Advance(Batch);
                queue.Ring();
                for (int taken = 0; taken < Batch;)
                {
                    taken += queue.TryTake(out _, ring: false) ? 1 : 0;
                }

                queue.RingHead();
            }
        }

        Run(200);
        long before = GC.GetTotalAllocatedBytes(precise: true);
        Run(Batches);
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;

        Assert.True(allocated < Batches * Batch, $"{allocated} bytes for {Batches * Batch} commands");
    }

    private static void Restart(NvmeRig rig)
    {
        rig.Connection.Reset();
        rig.Restart();
    }

    private static RawCommand RandomCommand(NvmeRig rig, Random random, byte[] opcodes)
    {
        byte[] bytes = new byte[64];
        random.NextBytes(bytes);
        var command = new RawCommand(random.Next(10) == 0 ? bytes[0] : opcodes[random.Next(opcodes.Length)], random.Next(4) == 0 ? BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4)) : (uint)random.Next(4));
        command.Flags = random.Next(3) == 0 ? bytes[1] : (byte)0;
        command.Prp1 = Address(rig, random);
        command.Prp2 = random.Next(3) == 0 ? BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(32)) : Address(rig, random);
        for (int dword = 10; dword < 16; dword++)
        {
            uint value = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(dword * 4));
            command[dword] = random.Next(4) switch { 0 => value, 1 => value & 0xFF, 2 => value & 0x000F_000F, _ => 0 };
        }

        return command;
    }

    private static ulong Address(NvmeRig rig, Random random) => rig.Data.Iova + (ulong)(random.Next(4) == 0 ? random.Next(3 << 20) : random.Next(512) * 4096);

    /// <summary>A processor of the host that writes one word of each entry of a queue, one value and the other, until it is disposed.</summary>
    private sealed class Flipping : IDisposable
    {
        private readonly Thread _thread;
        private volatile bool _done;

        public Flipping(DmaBuffer submissions, int byteOffset, uint one, uint other)
        {
            const int Entry = 64;
            _thread = new Thread(() =>
            {
                for (uint i = 0; !_done; i++)
                {
                    for (int entry = 0; entry < 2; entry++)
                    {
                        Volatile.Write(ref System.Runtime.InteropServices.MemoryMarshal.AsRef<uint>(submissions.Slice((nuint)((entry * Entry) + byteOffset), 4)), i % 2 == 0 ? one : other);
                    }
                }
            });
            _thread.Start();
        }

        public void Dispose()
        {
            _done = true;
            _thread.Join();
        }
    }
}
