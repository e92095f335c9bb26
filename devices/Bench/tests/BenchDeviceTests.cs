using Vfio.Testing;
using Vfio.TestUtilities;

namespace Vfio.Devices.Bench.Tests;

public sealed class BenchDeviceTests
{
    [Fact]
    public void Readme_shows_the_registers_as_they_are_declared()
    {
        (string expected, string actual) = RegisterTable.Read("devices/Bench/README.md", BenchRegisters.RegistersMarkdown);
        Assert.Equal(expected, actual);
    }

    [Fact]
    public async Task Scratch_reads_what_was_written_and_counts()
    {
        await using Bench bench = new(overSocket: false);
        bench.Bar.Write32(0x10, 0xCAFEF00D);
        bench.Bar.Write8(0xFF, 7);
        Assert.Equal(0xCAFEF00D, bench.Bar.Read32(0x10));
        Assert.Equal(7, bench.Bar.Read8(0xFF));
        Assert.Equal(2ul, bench.Bar.Read64(0x148));
        bench.Bar.Write64(0x130, 5);
        Assert.Equal(0ul, bench.Bar.Read64(0x130));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Look_ups_succeed_inside_the_mapping_and_fail_outside(bool overSocket)
    {
        await using Bench bench = new(overSocket);
        using DmaBuffer buffer = bench.Connection.AllocateDma(4 * 4096);
        Assert.Equal((100ul, true), bench.Run(command: 1, buffer.Iova, 64, 100));
        Assert.Equal((100ul, true), bench.Run(command: 2, buffer.Iova, 64, 100, regions: 4, stride: 4096));
        Assert.Equal((0ul, true), bench.Run(command: 1, buffer.Iova + (8 * 4096), 64, 100));
        Assert.Equal((100ul, true), bench.Run(command: 6, buffer.Iova, 64, 100));
        Assert.Equal((0ul, true), bench.Run(command: 99, buffer.Iova, 64, 100));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Transfers_move_the_bytes(bool overSocket)
    {
        await using Bench bench = new(overSocket);
        using DmaBuffer buffer = bench.Connection.AllocateDma(4096);
        buffer.Span.Fill(3);
        Assert.Equal((10ul, true), bench.Run(command: 5, buffer.Iova, 256, 10));
        Assert.Equal(30ul, bench.Bar.Read64(0x140));
        Assert.Equal((10ul, true), bench.Run(command: 3, buffer.Iova, 256, 10));
        buffer.Span[..256].Clear();
        Assert.Equal((1ul, true), bench.Run(command: 4, buffer.Iova, 256, 1));
        Assert.Equal(-1, buffer.Span[..256].IndexOfAnyExcept((byte)3));
    }

    private sealed class Bench(bool overSocket) : IAsyncDisposable
    {
        private readonly DevicePair<BenchDevice> _pair = overSocket
            ? DevicePair.OverSocket(static () => new BenchDevice())
            : DevicePair.Local(static () => new BenchDevice());

        public VfioConnection Connection => _pair.Connection;

        public VfioRegion Bar => Connection.Bar(0);

        public (ulong Succeeded, bool Timed) Run(uint command, ulong address, ulong length, ulong iterations, ulong regions = 1, ulong stride = 0)
        {
            Bar.Write64(0x100, address);
            Bar.Write64(0x108, length);
            Bar.Write64(0x110, iterations);
            Bar.Write64(0x118, regions);
            Bar.Write64(0x120, stride);
            Bar.Write32(0x128, command);
            return (Bar.Read64(0x138), Bar.Read64(0x130) > 0);
        }

        public ValueTask DisposeAsync() => _pair.DisposeAsync();
    }
}
