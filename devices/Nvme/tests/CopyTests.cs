using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Copy, and Write Uncorrectable.</summary>
public sealed class CopyTests
{
    private const int RangesOffset = 1 << 20;

    private static RawCommand Copy(NvmeRig rig, ulong target, params (ulong First, int Blocks)[] ranges)
    {
        for (int i = 0; i < ranges.Length; i++)
        {
            Span<byte> range = rig.Data.Slice((nuint)(RangesOffset + (i * 32)), 32);
            range.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(range[8..], ranges[i].First);
            BinaryPrimitives.WriteUInt16LittleEndian(range[16..], (ushort)(ranges[i].Blocks - 1));
        }

        return new RawCommand(0x19, 1) { Prp1 = rig.Data.Iova + RangesOffset }.Set(10, (uint)target).Set(12, (uint)ranges.Length - 1);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public async Task Copy_joins_its_ranges_and_overlapping_ones_are_read_first(int block)
    {
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 4 << 20, BlockSize = block }] });
        RawQueue queue = rig.CreateQueue(1);
        for (int i = 0; i < 20; i++)
        {
            rig.Data.Slice((nuint)(i * block), block).Fill((byte)(i + 1));
        }

        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 20, block)).Status);
        Assert.Equal(0, queue.Execute(Copy(rig, 2, (0, 4), (10, 1), (1, 3))).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 20, block)).Status);

        Assert.Equal([1, 2, 1, 2, 3, 4, 11, 2, 3, 4, 11, 12], Enumerable.Range(0, 12).Select(i => (int)rig.Data.Slice((nuint)(i * block), 1)[0]));
        Assert.Equal([1, 2, 1, 2, 3, 4, 11, 2, 3, 4, 11, 12], Enumerable.Range(0, 12).Select(i => (int)rig.Data.Slice((nuint)((i * block) + block - 1), 1)[0]));
    }

    [Fact]
    public async Task Copy_with_protection_gives_the_target_its_own_reference_tags()
    {
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 1 << 20, MetadataSize = 8, Protection = 1 }] });
        RawQueue queue = rig.CreateQueue(1);
        rig.Data.Slice(0, 2048).Fill(5);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 4).Set(12, 3 | (1U << 29)).Set(14, 0)).Status);

        // PRACT on both sides, and the source's guard and reference tag are checked.
        Assert.Equal(0, queue.Execute(Copy(rig, 100, (0, 4)).Set(12, (13U << 12) | (1U << 29)).Set(14, 100)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x0C, 100, 4).Set(12, 3 | (5U << 26)).Set(14, 100)).Status);

        // Passed on as it is, the reference tag is the source's.
        Assert.Equal(0, queue.Execute(Copy(rig, 200, (0, 4))).Status);
        Assert.Equal(0x284, queue.Execute(rig.Transfer(0x0C, 200, 4).Set(12, 3 | (1U << 26)).Set(14, 200)).Status);
        Assert.Equal(0x284, queue.Execute(Copy(rig, 200, (0, 4)).Set(12, 1U << 26).Set(14, 200)).Status);
    }

    [Fact]
    public async Task Uncorrectable_blocks_cannot_be_read_until_they_are_written()
    {
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 4 << 20 }] });
        RawQueue queue = rig.CreateQueue(1);
        rig.Data.Slice(0, 65536).Fill(1);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 128)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x04, 60, 10)).Status);

        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 60)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 70, 58)).Status);
        foreach (byte opcode in (byte[])[0x02, 0x05, 0x0C])
        {
            Assert.Equal(0x281, queue.Execute(rig.Transfer(opcode, 0, 128)).Status);
        }

        Assert.Equal(0x281, queue.Execute(Copy(rig, 1000, (0, 128))).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x02) { Prp1 = rig.Data.Iova }.Set(10, 1 | (15U << 16))).Status);
        Assert.Equal(60UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Slice(16, 8)));

        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 60, 4)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x08, 64, 4)).Status);
        Assert.Equal(0x281, queue.Execute(rig.Transfer(0x02, 0, 128)).Status);
        Assert.Equal(0, queue.Execute(Copy(rig, 68, (0, 2))).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 128)).Status);

        // The health log counts them.
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x02) { Prp1 = rig.Data.Iova }.Set(10, 2 | (127U << 16))).Status);
        Assert.Equal(5UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Slice(160, 8)));
    }
}
