using System.Buffers.Binary;
using System.Text;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>The way of a driver: registers, enable, admin queue, I/O queues, data.</summary>
public sealed class NvmeDeviceTests
{
    [Fact]
    public async Task Registers_answer_after_power_on()
    {
        await using var rig = new NvmeRig(enable: false);

        ulong capabilities = rig.Bar.Read64(0);
        Assert.Equal(1023UL, capabilities & 0xFFFF);
        Assert.Equal(1UL, (capabilities >> 16) & 1);
        Assert.Equal(1UL, (capabilities >> 37) & 0xFF);
        Assert.Equal(0UL, (capabilities >> 32) & 0xF);
        Assert.Equal(0x20000U, rig.Bar.Read32(8));
        Assert.Equal(0U, rig.Status);
        Assert.Equal(0x010802U, rig.Connection.Config.Read32(8) >> 8);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Identify_tells_what_the_options_say(bool overSocket)
    {
        await using var rig = new NvmeRig(new NvmeOptions { Serial = "S123", Model = "M 1", Namespaces = [new() { Size = 1 << 20, BlockSize = 4096 }] }, overSocket);

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
        Assert.Equal("S123                ", Encoding.ASCII.GetString(rig.Data.Slice(4, 20)));
        Assert.Equal("M 1", Encoding.ASCII.GetString(rig.Data.Slice(24, 40)).TrimEnd());
        Assert.Equal(256U, BinaryPrimitives.ReadUInt32LittleEndian(rig.Data.Slice(516, 4)));

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06, nsid: 1) { Prp1 = rig.Data.Iova }.Set(10, 0)).Status);
        Assert.Equal(256UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Span));
        Assert.Equal(12, rig.Data.Span[130 + (rig.Data.Span[26] * 4)]);

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 2)).Status);
        Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Span));
    }

    [Theory]
    [InlineData(1, 512, 0, false)]
    [InlineData(8, 512, 0, false)]
    [InlineData(8, 512, 512, false)]
    [InlineData(24, 512, 4, false)]
    [InlineData(2048, 512, 0, false)]
    [InlineData(2048, 512, 1000, false)]
    [InlineData(256, 4096, 0, true)]
    [InlineData(3, 4096, 2048, true)]
    public async Task Blocks_are_read_as_they_were_written(int blocks, int blockSize, int offset, bool overSocket)
    {
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 4 << 20, BlockSize = blockSize }] }, overSocket);
        RawQueue queue = rig.CreateQueue(1);
        int length = blocks * blockSize;
        byte[] written = new byte[length];
        new Random(blocks).NextBytes(written);
        written.CopyTo(rig.Data.Slice((nuint)offset, length));

        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, block: 5, blocks, blockSize, offset)).Status);
        rig.Data.Slice(0, 1100 * 1024).Clear();
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, block: 5, blocks, blockSize, offset)).Status);

        Assert.True(rig.Data.Slice((nuint)offset, length).SequenceEqual(written));
        Assert.Equal(-1, rig.Data.Slice(0, offset).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, rig.Data.Slice((nuint)(offset + length), 4096).IndexOfAnyExcept((byte)0));
        Assert.Equal(0, queue.Execute(new RawCommand(0x00, nsid: 1)).Status);
    }

    [Fact]
    public async Task Queue_wraps_and_keeps_the_order()
    {
        await using var rig = new NvmeRig();
        RawQueue queue = rig.CreateQueue(1, entries: 4);

        for (int i = 0; i < 100; i++)
        {
            ushort first = queue.Put(rig.Transfer(0x02, (ulong)i, 1));
            ushort second = queue.Submit(rig.Transfer(0x02, (ulong)i, 1));
            Assert.Equal(first, queue.Take().Cid);
            RawCompletion completion = queue.Take();
            Assert.Equal(second, completion.Cid);
            Assert.Equal(((i * 2) + 2) % 4, completion.Head);
        }
    }
}
