using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Testing;
using Vfio.TestUtilities;
using Xunit;

namespace Vfio.Devices.Ioat.Tests;

public sealed class IoatDeviceTests
{
    private const ulong Memory = 0x10_0000;
    private const int Ring = 0;
    private const int Completion = 0x8000;
    private const int Source = 0x1_0000;
    private const int Destination = 0x2_0000;
    private const uint Interrupt = 1;
    private const uint Complete = 8;
    private const uint Null = 0x20;
    private const uint Fill = 1U << 24;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private static DevicePair<IoatDevice> Pair(IoatOptions? options = null, bool overSocket = false)
        => overSocket ? DevicePair.OverSocket(() => new IoatDevice(options)) : DevicePair.Local(() => new IoatDevice(options));

    [Theory]
    [InlineData("registers")]
    [InlineData("channel registers")]
    public void Readme_shows_the_registers_as_they_are_declared(string table)
    {
        string declared = table == "registers" ? IoatRegisters.RegistersMarkdown : ChannelRegisters.RegistersMarkdown;
        (string expected, string actual) = RegisterTable.Read("devices/Ioat/README.md", declared, table);
        Assert.Equal(expected, actual);
    }

    [Fact]
    public async Task Engine_tells_what_it_can()
    {
        await using DevicePair<IoatDevice> pair = Pair(new IoatOptions { Channels = 2, LongestTransfer = 1 << 20 });
        VfioRegion bar = pair.Connection.Bar(0);

        Assert.Equal(0x2021_8086U, pair.Connection.Config.Read32(0));
        Assert.Equal(2, bar.Read8(0x00));
        Assert.Equal(20, bar.Read8(0x01));
        Assert.Equal(0x33, bar.Read8(0x08));
        Assert.Equal(0x41U, bar.Read32(0x10));
        Assert.Equal(3U, bar.Read32(0x88));
        Assert.Equal(3U, bar.Read32(0x108));
        pair.Connection.Config.Write32(0x184, 0x3E07);
        Assert.Equal(0x3E07U, pair.Connection.Config.Read32(0x184));
    }

    /// <summary>DPDK's driver, when it finds the channel halted, resets it and waits for nothing but the armed state in the whole status.</summary>
    [Fact]
    public async Task Channel_that_was_reset_is_armed_by_a_chain_address()
    {
        await using DevicePair<IoatDevice> pair = Pair();
        VfioRegion bar = pair.Connection.Bar(0);
        bar.Write8(0x84, 0x20);
        Assert.Equal(3UL, bar.Read64(0x88));
        bar.Write64(0x90, Memory);
        Assert.Equal(4UL, bar.Read64(0x88));
        bar.Write8(0x84, 0x20);
        Assert.Equal(3UL, bar.Read64(0x88));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Chain_of_copies_fills_and_nulls_is_done_and_told(bool overSocket)
    {
        await using DevicePair<IoatDevice> pair = Pair(overSocket: overSocket);
        using DmaBuffer memory = pair.Connection.AllocateDma(0x4_0000, iova: Memory);
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix);
        VfioRegion bar = pair.Connection.Bar(0);
        Random.Shared.NextBytes(memory.Slice(Source, 4096));
        Describe(memory, 0, 0, Null, 0, 0);
        Describe(memory, 1, 4096, 0, Memory + Source, Memory + Destination);
        Describe(memory, 2, 13, Fill, 0x0807060504030201, Memory + Destination + 4096);
        Describe(memory, 3, 5, Interrupt | Complete, Memory + Source + 1, Memory + Destination + 8192);

        Start(bar, 4);

        Assert.True(msix[0].Wait(s_patience));
        Assert.Equal((Memory + 192) | 1, bar.Read64(0x88));
        Assert.Equal((Memory + 192) | 1, BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice(Completion, 8)));
        Assert.True(memory.Slice(Source, 4096).SequenceEqual(memory.Slice(Destination, 4096)));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 0], memory.Slice(Destination + 4096, 14).ToArray());
        Assert.True(memory.Slice(Source + 1, 5).SequenceEqual(memory.Slice(Destination + 8192, 5)));
        Assert.Equal(0U, bar.Read32(0xA8));
    }

    [Fact]
    public async Task Greater_count_goes_on_and_interrupts_once_armed_again()
    {
        await using DevicePair<IoatDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(0x4_0000, iova: Memory);
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix);
        VfioRegion bar = pair.Connection.Bar(0);
        for (int i = 0; i < 3; i++)
        {
            Describe(memory, i, 8, Interrupt | Complete, Memory + Source, Memory + Destination + (ulong)(8 * i));
        }

        Start(bar, 1);
        Assert.True(msix[0].Wait(s_patience));
        Assert.Equal(1U, bar.Read32(0x04));
        bar.Write16(0x86, 2);
        WaitFor(() => bar.Read64(0x88) == ((Memory + 64) | 1));
        Assert.False(msix[0].Wait(TimeSpan.FromMilliseconds(20)));

        // What came meanwhile is told as soon as it can be.
        bar.Write16(0x80, 1);
        Assert.True(msix[0].Wait(s_patience));
        bar.Write16(0x80, 1);
        Assert.Equal(0U, bar.Read32(0x04));
        bar.Write16(0x86, 3);
        Assert.True(msix[0].Wait(s_patience));
    }

    [Fact]
    public async Task Pin_follows_attention_while_the_master_enable_is_set()
    {
        await using DevicePair<IoatDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(0x4_0000, iova: Memory);
        using InterruptSet pin = pair.Connection.EnableInterrupts(PciInterrupt.Intx);
        VfioRegion bar = pair.Connection.Bar(0);
        Describe(memory, 0, 8, Interrupt, Memory + Source, Memory + Destination);
        bar.Write8(0x03, 1);

        Start(bar, 1);

        Assert.True(pin[0].Wait(s_patience));
        Assert.Equal(7, bar.Read8(0x03));
        Assert.Equal(2, bar.Read8(0x03));
        Assert.Equal(1U, bar.Read32(0x04));
        bar.Write16(0x80, 1);
        Assert.Equal(0, bar.Read8(0x03));
    }

    [Theory]
    [InlineData("source", 1U << 8)]
    [InlineData("destination", 1U << 9)]
    [InlineData("operation", 1U << 10)]
    [InlineData("length", 1U << 11)]
    [InlineData("zero", 1U << 11)]
    [InlineData("next", 1U << 2)]
    [InlineData("completion", 1U << 12)]
    public async Task Error_halts_with_its_cause_and_a_new_chain_goes_on(string mistake, uint expected)
    {
        await using DevicePair<IoatDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(0x4_0000, iova: Memory);
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix);
        VfioRegion bar = pair.Connection.Bar(0);
        Describe(memory, 0, 8, 0, Memory + Source, Memory + Destination);
        Describe(memory, 1, mistake == "length" ? 4097U : mistake == "zero" ? 0U : 8, Complete | (mistake == "operation" ? 0x87U << 24 : 0), mistake == "source" ? 0x900_0000 : Memory + Source, mistake == "destination" ? 0x900_0000 : Memory + Destination);
        if (mistake == "next")
        {
            BinaryPrimitives.WriteUInt64LittleEndian(memory.Slice(0x18, 8), Memory + 65);
        }

        bar.Write16(0x80, 0x1C);
        Start(bar, 2, completion: mistake == "completion" ? 0x900_0000 : Memory + Completion);

        Assert.True(msix[0].Wait(s_patience));
        Assert.Equal(3U, bar.Read32(0x88) & 7);
        Assert.Equal(expected, bar.Read32(0xA8));
        if (mistake != "completion")
        {
            Assert.Equal(Memory | 3, BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice(Completion, 8)));
        }

        bar.Write32(0xA8, expected);
        Assert.Equal(0U, bar.Read32(0xA8));
        Describe(memory, 0, 8, Complete, Memory + Source, Memory + Destination);
        Start(bar, 1);
        WaitFor(() => bar.Read64(0x88) == (Memory | 1));
    }

    [Fact]
    public async Task Suspended_channel_goes_on_when_resumed_and_reset_forgets()
    {
        await using DevicePair<IoatDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(0x4_0000, iova: Memory);
        VfioRegion bar = pair.Connection.Bar(0);
        for (int i = 0; i < 64; i++)
        {
            Describe(memory, i, 8, Complete, Memory + Source, Memory + Destination);
        }

        Start(bar, 1);
        WaitFor(() => bar.Read64(0x88) == (Memory | 1));
        bar.Write8(0x84, 0x04);
        WaitFor(() => (bar.Read32(0x88) & 7) == 2);
        bar.Write16(0x86, 10);
        Assert.Equal(Memory | 2, bar.Read64(0x88));
        bar.Write8(0x84, 0x10);
        WaitFor(() => bar.Read64(0x88) == ((Memory + (9 * 64)) | 1));

        bar.Write16(0x86, 60);
        bar.Write8(0x84, 0x20);
        WaitFor(() => (bar.Read8(0x84) & 0x20) == 0);
        Assert.Equal(3UL, bar.Read64(0x88));
        Assert.Equal(0, bar.Read16(0x86));
        Start(bar, 1);
        WaitFor(() => bar.Read64(0x88) == (Memory | 1));
    }

    [Fact]
    public async Task Storm_of_65535_descriptors_is_done_without_allocation()
    {
        await using DevicePair<IoatDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(8 << 20, iova: Memory);
        VfioRegion bar = pair.Connection.Bar(0);
        for (int i = 0; i < 65535; i++)
        {
            Describe(memory, i, 64, i == 65534 ? Complete : 0, Memory + (7 << 20), Memory + (7 << 20) + 4096);
        }

        Run();
        long before = GC.GetTotalAllocatedBytes(precise: true);
        Run();
        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, 512 * 1024);

        void Run()
        {
            BinaryPrimitives.WriteUInt64LittleEndian(memory.Slice(6 << 20, 8), 0);
            Start(bar, 65535, Memory + (6 << 20));
            Assert.True(SpinWait.SpinUntil(() => (bar.Read32(0x88) & 7) == 1, TimeSpan.FromSeconds(30)));
            Assert.Equal((Memory + (65534 * 64)) | 1, BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice(6 << 20, 8)));
        }
    }

    [Fact]
    public async Task Suspended_chain_is_saved_here_and_goes_on_there()
    {
        await using DevicePair<IoatDevice> from = Pair(overSocket: true);
        await using DevicePair<IoatDevice> to = Pair(overSocket: true);
        using DmaBuffer there = from.Connection.AllocateDma(0x4_0000, iova: Memory);
        using DmaBuffer here = to.Connection.AllocateDma(0x4_0000, iova: Memory);
        Describe(there, 0, 8, Complete, Memory + Source, Memory + Destination);
        here.Slice(Source, 8).Fill(0xA5);
        Describe(here, 1, 8, Complete, Memory + Source, Memory + Destination);
        VfioRegion old = from.Connection.Bar(0);
        Start(old, 1);
        WaitFor(() => old.Read64(0x88) == (Memory | 1));
        old.Write8(0x84, 0x04);
        WaitFor(() => (old.Read32(0x88) & 7) == 2);
        old.Write16(0x86, 2);

        byte[] state = DeviceState.Save(from.Connection);
        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));

        VfioRegion bar = to.Connection.Bar(0);
        Assert.Equal(Memory | 2, bar.Read64(0x88));
        bar.Write8(0x84, 0x10);
        WaitFor(() => bar.Read64(0x88) == ((Memory + 64) | 1));
        Assert.Equal(0xA5A5A5A5, BinaryPrimitives.ReadUInt32LittleEndian(here.Slice(Destination, 4)));
    }

    [Theory]
    [InlineData("channels=9")]
    [InlineData("transfer=5000")]
    [InlineData("transfer")]
    [InlineData("speed=1")]
    public void Options_with_mistakes_say_what_is_accepted(string setting)
    {
        FormatException error = Assert.Throws<FormatException>(() => IoatOptions.Parse([setting]));
        Assert.Contains("channels=1 to 8", error.Message);
    }

    [Fact]
    public void Options_are_read()
    {
        IoatOptions options = IoatOptions.Parse(["channels=4", "transfer=1048576"]);

        Assert.Equal(new IoatOptions { Channels = 4, LongestTransfer = 1 << 20 }, options);
        Assert.Throws<ArgumentOutOfRangeException>(() => new IoatDevice(new IoatOptions { Channels = 0 }));
    }

    private static void Describe(DmaBuffer memory, int index, uint size, uint control, ulong source, ulong destination)
    {
        Span<byte> descriptor = memory.Slice((nuint)(Ring + (64 * index)), 64);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor, size);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[4..], control);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[8..], source);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[16..], destination);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[24..], Memory + Ring + (64 * (ulong)(index + 1)));
    }

    private static void Start(VfioRegion bar, ushort count, ulong completion = Memory + Completion)
    {
        bar.Write64(0x98, completion);
        bar.Write32(0x90, (uint)Memory);
        bar.Write32(0x94, (uint)(Memory >> 32));
        bar.Write16(0x86, count);
    }

    private static void WaitFor(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, s_patience));
}
