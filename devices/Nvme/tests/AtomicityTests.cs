using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>AWUN is one block: readers and writers of several queues see it whole.</summary>
public sealed class AtomicityTests
{
    [Theory]
    [InlineData(512, 0, false)]
    [InlineData(4096, 0, false)]
    [InlineData(4096, 8, false)]
    [InlineData(512, 0, true)]
    public async Task Blocks_are_never_seen_half_written(int block, int metadata, bool polled)
    {
        const int Rounds = 4000;
        await using var rig = new NvmeRig(new NvmeOptions { Polled = polled, Namespaces = [new() { Size = 1 << 20, BlockSize = block, MetadataSize = metadata }] });
        RawQueue[] queues = [rig.CreateQueue(1), rig.CreateQueue(2), rig.CreateQueue(3)];

        RawCommand At(byte opcode, int lane)
        {
            // The buffer begins inside of a page, and is in two pieces.
            RawCommand command = rig.Transfer(opcode, 9, 1, block, offset: (lane * 65536) + 4096 - 256);
            ulong place = rig.Data.Iova + (ulong)((lane * 65536) + 32768);
            return command.Set(4, (uint)place).Set(5, (uint)(place >> 32));
        }

        await Task.WhenAll(queues.Select((queue, lane) => Task.Run(() =>
        {
            Span<byte> buffer = rig.Data.Slice((nuint)((lane * 65536) + 4096 - 256), block);
            Span<byte> tuple = rig.Data.Slice((nuint)((lane * 65536) + 32768), 8);
            for (int i = 0; i < Rounds; i++)
            {
                if (lane == 0)
                {
                    Assert.Equal(0, queue.Execute(At(0x02, lane)).Status);
                    Assert.Equal(-1, buffer.IndexOfAnyExcept(buffer[0]));
                    Assert.True(metadata == 0 || tuple.IndexOfAnyExcept(buffer[0]) < 0);
                }
                else
                {
                    buffer.Fill((byte)(i + (lane * 100)));
                    tuple.Fill((byte)(i + (lane * 100)));
                    Assert.Equal(0, queue.Execute(At(0x01, lane)).Status);
                }
            }
        })));
    }
}
