using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.TestUtilities;
using Xunit;

namespace Vfio.Devices.Edu.Tests;

public sealed class EduDeviceTests : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
    private readonly VfioHost _host = new();
    private EduDevice? _device;
    private VfioConnection? _connection;

    private VfioConnection Open(EduOptions? options = null)
    {
        _device = _host.Allocate(() => new EduDevice(options));
        _host.RegisterEmulatedIommuDevice(_device, "edu0");
        return _connection = LocalConnection.Open(_host, "edu0");
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection is not null)
        {
            await _connection.DisposeAsync();
        }

        await _host.DisposeAsync();
        _device?.Put();
    }

    [Fact]
    public void Readme_shows_the_registers_as_they_are_declared()
    {
        (string expected, string actual) = RegisterTable.Read("devices/Edu/README.md", EduRegisters.RegistersMarkdown);
        Assert.Equal(expected, actual);
    }

    [Fact]
    public void Identification_and_liveness_answer_as_documented()
    {
        VfioConnection edu = Open();

        Assert.Equal(0x010000EDU, edu.Bar(0).Read32(0x00));
        edu.Bar(0).Write32(0x04, 0x12345678);
        Assert.Equal(~0x12345678U, edu.Bar(0).Read32(0x04));
        Assert.Equal(1UL << 20, edu.Bar(0).Size);
        Assert.Equal(0x11E81234U, edu.Config.Read32(0));
        Assert.Equal(0x00FF0010U, edu.Config.Read32(8));
    }

    [Theory]
    [InlineData(0u, 1u)]
    [InlineData(1u, 1u)]
    [InlineData(5u, 120u)]
    [InlineData(12u, 479001600u)]
    [InlineData(13u, 1932053504u)]
    [InlineData(uint.MaxValue, 0u)]
    public void Factorial_is_computed_in_the_background(uint n, uint expected)
    {
        VfioConnection edu = Open();

        edu.Bar(0).Write32(0x08, n);
        WaitFor(() => (edu.Bar(0).Read32(0x20) & 1) == 0);

        Assert.Equal(expected, edu.Bar(0).Read32(0x08));
    }

    [Fact]
    public void Factorial_shows_busy_and_drops_writes_meanwhile()
    {
        VfioConnection edu = Open(new EduOptions { FactorialDelay = TimeSpan.FromMilliseconds(200) });

        edu.Bar(0).Write32(0x08, 5);
        Assert.Equal(1U, edu.Bar(0).Read32(0x20) & 1);
        edu.Bar(0).Write32(0x08, 3);
        WaitFor(() => (edu.Bar(0).Read32(0x20) & 1) == 0);

        Assert.Equal(120U, edu.Bar(0).Read32(0x08));
    }

    [Fact]
    public void Factorial_interrupts_by_msi_when_asked()
    {
        VfioConnection edu = Open();
        using InterruptSet msi = edu.EnableInterrupts(PciInterrupt.Msi);

        edu.Bar(0).Write32(0x20, 0x80);
        edu.Bar(0).Write32(0x08, 4);

        Assert.True(msi[0].Wait(s_patience));
        Assert.Equal(1U, edu.Bar(0).Read32(0x24));
        Assert.Equal(24U, edu.Bar(0).Read32(0x08));
        edu.Bar(0).Write32(0x64, 1);
        Assert.Equal(0U, edu.Bar(0).Read32(0x24));
    }

    [Fact]
    public void Pin_stays_asserted_until_acknowledged()
    {
        VfioConnection edu = Open();
        using InterruptSet pin = edu.EnableInterrupts(PciInterrupt.Intx);

        edu.Bar(0).Write32(0x60, 0x42);
        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal(0x42U, edu.Bar(0).Read32(0x24));
        Assert.Equal(8U, (edu.Config.Read32(4) >> 16) & 8);

        pin.Unmask();
        Assert.True(pin[0].Wait(s_patience));
        edu.Bar(0).Write32(0x64, 0x42);
        pin.Unmask();
        Assert.False(pin[0].Wait(TimeSpan.FromMilliseconds(50)));
        Assert.Equal(0U, (edu.Config.Read32(4) >> 16) & 8);
    }

    [Fact]
    public void Dma_goes_both_ways_and_interrupts()
    {
        VfioConnection edu = Open();
        using InterruptSet msi = edu.EnableInterrupts(PciInterrupt.Msi);
        using DmaBuffer memory = edu.AllocateDma(8192, iova: 0x100000);
        Random.Shared.NextBytes(memory.Span[..4096]);

        Transfer(edu, source: memory.Iova, destination: 0x40000, count: 4096, command: 1 | 4);
        Assert.True(msi[0].Wait(s_patience));
        Assert.Equal(0x100U, edu.Bar(0).Read32(0x24));
        edu.Bar(0).Write32(0x64, 0x100);
        Transfer(edu, source: 0x40000, destination: memory.Iova + 4096, count: 4096, command: 1 | 2 | 4);
        Assert.True(msi[0].Wait(s_patience));

        Assert.Equal(0UL, edu.Bar(0).Read64(0x98) & 1);
        Assert.True(memory.Span[..4096].SequenceEqual(memory.Span[4096..8192]));
    }

    [Theory]
    [InlineData(0x40001UL, 4096UL)]
    [InlineData(0x3FFFFUL, 1UL)]
    [InlineData(0x41001UL, 0UL)]
    [InlineData(0x40000UL, ulong.MaxValue)]
    public void Dma_outside_the_buffer_changes_nothing(ulong destination, ulong count)
    {
        VfioConnection edu = Open();
        using DmaBuffer memory = edu.AllocateDma(8192, iova: 0x100000);
        memory.Span.Fill(0xA5);

        Transfer(edu, memory.Iova, destination, count, command: 1);
        WaitFor(() => (edu.Bar(0).Read32(0x98) & 1) == 0);
        Transfer(edu, 0x40000, memory.Iova, 4096, command: 3);
        WaitFor(() => (edu.Bar(0).Read32(0x98) & 1) == 0);

        Assert.Equal(-1, memory.Span[..4096].IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void Dma_to_unmapped_memory_ends_and_the_device_goes_on()
    {
        VfioConnection edu = Open();

        Transfer(edu, source: 0x40000, destination: 0x5000000, count: 64, command: 3);
        WaitFor(() => (edu.Bar(0).Read32(0x98) & 1) == 0);

        Assert.Equal(0x010000EDU, edu.Bar(0).Read32(0));
    }

    [Fact]
    public void Dma_addresses_are_cut_to_the_mask()
    {
        VfioConnection edu = Open(new EduOptions { DmaMask = 0x0FFF_FFFF });
        using DmaBuffer memory = edu.AllocateDma(4096, iova: 0x100000);
        memory.Span.Fill(0x11);

        Transfer(edu, source: 0x40000, destination: 0x7_0010_0000, count: 16, command: 3);
        WaitFor(() => (edu.Bar(0).Read32(0x98) & 1) == 0);

        Assert.Equal(-1, memory.Span[..16].IndexOfAnyExcept((byte)0));
        Assert.Equal(0x11, memory.Span[16]);
    }

    [Fact]
    public void Registers_below_0x80_take_four_bytes_only_and_those_above_four_or_eight()
    {
        VfioConnection edu = Open();

        Assert.Equal(ulong.MaxValue, edu.Bar(0).Read64(0x00));
        Assert.Equal(0xFF, edu.Bar(0).Read8(0x00));
        Assert.Equal(0xFFFF, edu.Bar(0).Read16(0x80));
        edu.Bar(0).Write64(0x80, 0x1122334455667788);
        Assert.Equal(0x55667788U, edu.Bar(0).Read32(0x80));
        Assert.Equal(0x1122334455667788UL, edu.Bar(0).Read64(0x80));
        edu.Bar(0).Write32(0x80, 0xAABBCCDD);
        Assert.Equal(0xAABBCCDDUL, edu.Bar(0).Read64(0x80));
        Assert.Equal(0xFFFFFFFF, edu.Bar(0).Read32(0x84));
    }

    [Fact]
    public void Whole_bar_can_be_read_in_one_request()
    {
        VfioConnection edu = Open();
        byte[] bytes = new byte[0x1000];

        edu.Bar(0).Read(0, bytes);

        Assert.Equal(0x010000EDU, BinaryPrimitives.ReadUInt32LittleEndian(bytes));
        Assert.Equal(0xFF, bytes[0x200]);
    }

    [Fact]
    public void Reset_during_a_transfer_drops_its_result()
    {
        VfioConnection edu = Open(new EduOptions { FactorialDelay = TimeSpan.FromMilliseconds(50) });

        edu.Bar(0).Write32(0x08, 5);
        edu.Reset();
        Thread.Sleep(150);

        Assert.Equal(0U, edu.Bar(0).Read32(0x08));
        Assert.Equal(0U, edu.Bar(0).Read32(0x20));
    }

    [Fact]
    public async Task Everything_is_released_at_the_end()
    {
        using var guard = new DescriptorLeakGuard();
        VfioConnection edu = Open();
        InterruptSet msi = edu.EnableInterrupts(PciInterrupt.Msi);
        edu.Bar(0).Write32(0x60, 1);
        msi.Dispose();
        await DisposeAsync();
        _device = null;
        _connection = null;
    }

    [Theory]
    [InlineData("dma_mask")]
    [InlineData("dma_mask=12z")]
    [InlineData("speed=1")]
    [InlineData("dma_delay_ms=60001")]
    public void Options_with_mistakes_say_what_is_accepted(string setting)
    {
        FormatException error = Assert.Throws<FormatException>(() => EduOptions.Parse([setting]));
        Assert.Contains("edu", error.Message);
    }

    [Fact]
    public void Options_are_read()
    {
        EduOptions options = EduOptions.Parse(["dma_mask=0xFFFFFFFF", "dma_delay_ms=100"]);

        Assert.Equal(0xFFFFFFFFUL, options.DmaMask);
        Assert.Equal(TimeSpan.FromMilliseconds(100), options.DmaDelay);
    }

    private static void Transfer(VfioConnection edu, ulong source, ulong destination, ulong count, uint command)
    {
        edu.Bar(0).Write64(0x80, source);
        edu.Bar(0).Write64(0x88, destination);
        edu.Bar(0).Write64(0x90, count);
        edu.Bar(0).Write32(0x98, command);
    }

    private static void WaitFor(Func<bool> condition)
    {
        long end = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < end, "The device did not get ready in time.");
            Thread.Sleep(1);
        }
    }
}
