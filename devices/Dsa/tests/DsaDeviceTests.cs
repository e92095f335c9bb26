using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Testing;
using Vfio.TestUtilities;
using Xunit;

namespace Vfio.Devices.Dsa.Tests;

public sealed class DsaDeviceTests
{
    private const ulong Memory = 0x10_0000;
    private const ulong Nowhere = 0x900_0000;
    private const int Record = 0;
    private const int Source = 0x1_0000;
    private const int Destination = 0x3_0000;
    private const int Second = 0x5_0000;
    private const int List = 0x7_0000;
    private const int Length = 0x8_0000;
    private const uint Completes = 0x0C;
    private const uint Interrupts = 0x10;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private static DevicePair<DsaDevice> Pair(DsaOptions? options = null, bool overSocket = false)
        => overSocket ? DevicePair.OverSocket(() => new DsaDevice(options)) : DevicePair.Local(() => new DsaDevice(options));

    [Fact]
    public void Readme_shows_the_registers_as_they_are_declared()
    {
        (string expected, string actual) = RegisterTable.Read("devices/Dsa/README.md", DsaRegisters.RegistersMarkdown);
        Assert.Equal(expected, actual);
    }

    [Fact]
    public async Task Capabilities_tell_what_is_there()
    {
        await using DevicePair<DsaDevice> pair = Pair(new DsaOptions { LongestTransfer = 1L << 31 });
        VfioRegion bar = pair.Connection.Bar(0);
        Assert.Equal(0x0B25_8086U, pair.Connection.Config.Read32(0));
        Assert.Equal(0x100U, bar.Read32(0x00));
        Assert.Equal(0x12UL | (31UL << 16) | (10UL << 21) | (1UL << 31), bar.Read64(0x10));
        Assert.Equal(128UL | (8UL << 16) | (1UL << 49) | (1UL << 51), bar.Read64(0x20));
        Assert.Equal(0x1_0003_03FFUL, bar.Read64(0x40));
        Assert.Equal(0x0000_0006_0005_0004UL, bar.Read64(0x60));
        Assert.Equal(0U, bar.Read32(0xB0) >> 13);
        Assert.Equal(3U << 2, bar.Read32(0x90));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Moves_and_tells_in_memory_and_by_interrupt(bool overSocket)
    {
        await using DevicePair<DsaDevice> pair = Pair(overSocket: overSocket);
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix, DsaLimits.Vectors);
        Enable(pair.Connection);
        Random.Shared.NextBytes(memory.Slice(Source, 5000));

        Submit(pair.Connection, Descriptor(3, Completes | Interrupts, Memory + Source, Memory + Destination, 5000, handle: 4));

        Assert.True(msix[4].Wait(s_patience));
        Assert.Equal((1, 0, 5000U), Wait(memory));
        Assert.True(memory.Slice(Source, 5000).SequenceEqual(memory.Slice(Destination, 5000)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(-100)]
    public async Task Overlapping_move_is_as_if_through_a_buffer(int distance)
    {
        await using DevicePair<DsaDevice> pair = Pair(new DsaOptions { LongestTransfer = 1 << 20 });
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        Enable(pair.Connection, transferShift: 20);
        const int Size = 150_000;
        Random.Shared.NextBytes(memory.Slice(Source, Size));
        byte[] expected = memory.Slice(Source, Size).ToArray();

        Submit(pair.Connection, Descriptor(3, Completes, Memory + Source, (ulong)((long)Memory + Source + distance), Size));

        Assert.Equal((1, distance > 0 ? 1 : 0, (uint)Size), Wait(memory));
        Assert.True(memory.Slice((nuint)(Source + distance), Size).SequenceEqual(expected));
    }

    [Fact]
    public async Task Operations_do_what_they_say()
    {
        await using DevicePair<DsaDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        Enable(pair.Connection);
        VfioConnection user = pair.Connection;

        // Fill, compare, compare with a pattern, with the place of the first difference and an expected result.
        Submit(user, Descriptor(4, Completes, 0x0807_0605_0403_0201, Memory + Source, 21));
        Assert.Equal((1, 0, 21U), Wait(memory));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 0], memory.Slice(Source, 22).ToArray());
        memory.Slice(Source, 21).CopyTo(memory.Slice(Destination, 21));
        Submit(user, Descriptor(5, Completes, Memory + Source, Memory + Destination, 21));
        Assert.Equal((1, 0, 21U), Wait(memory));
        memory.Slice(Destination, 21)[20] ^= 1;
        Submit(user, Descriptor(5, Completes, Memory + Source, Memory + Destination, 21));
        Assert.Equal((1, 1, 20U), Wait(memory));
        Submit(user, Descriptor(5, Completes | 0x80, Memory + Source, Memory + Destination, 21));
        Assert.Equal((2, 1, 20U), Wait(memory));
        Submit(user, Descriptor(6, Completes, Memory + Source, 0x0807_0605_0403_0201, 21));
        Assert.Equal((1, 0, 21U), Wait(memory));

        // Two places at once.
        Submit(user, Descriptor(9, Completes, Memory + Source, Memory + Destination, 21, own: [Memory + Second]));
        Assert.Equal((1, 0, 21U), Wait(memory));
        Assert.True(memory.Slice(Source, 21).SequenceEqual(memory.Slice(Destination, 21)) && memory.Slice(Source, 21).SequenceEqual(memory.Slice(Second, 21)));

        // CRC-32C of "123456789" is E3069283; a run over two parts with the first one's result as the seed is the same.
        "123456789"u8.CopyTo(memory.Slice(Source, 9));
        Submit(user, Descriptor(0x10, Completes, Memory + Source, 0, 9));
        Assert.Equal((1, 0, 9U), Wait(memory));
        Assert.Equal(0xE306_9283UL, BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice(Record + 16, 8)));
        Submit(user, Descriptor(0x11, Completes, Memory + Source, Memory + Destination, 4));
        Assert.Equal((1, 0, 4U), Wait(memory));
        ulong seed = BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice(Record + 16, 8));
        Submit(user, Descriptor(0x11, Completes, Memory + Source + 4, Memory + Destination + 4, 5, own: [seed]));
        Assert.Equal((1, 0, 5U), Wait(memory));
        Assert.Equal(0xE306_9283UL, BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice(Record + 16, 8)));
        Assert.True(memory.Slice(Destination, 9).SequenceEqual("123456789"u8));
    }

    [Fact]
    public async Task Delta_of_two_sources_makes_one_the_other()
    {
        await using DevicePair<DsaDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        Enable(pair.Connection);
        Random.Shared.NextBytes(memory.Slice(Source, 4096));
        memory.Slice(Source, 4096).CopyTo(memory.Slice(Second, 4096));
        Submit(pair.Connection, Descriptor(7, Completes, Memory + Source, Memory + Second, 4096, own: [Memory + Destination, 80]));
        Assert.Equal((1, 0, 4096U), Wait(memory));

        memory.Slice(Second, 4096)[0] ^= 1;
        memory.Slice(Second, 4096)[4095] ^= 1;
        Submit(pair.Connection, Descriptor(7, Completes, Memory + Source, Memory + Second, 4096, own: [Memory + Destination, 80]));
        Assert.Equal((1, 1, 4096U), Wait(memory));
        Assert.Equal(20U, BinaryPrimitives.ReadUInt32LittleEndian(memory.Slice(Record + 16, 4)));
        Submit(pair.Connection, Descriptor(8, Completes, Memory + Destination, Memory + Source, 4096, own: [20]));
        Assert.Equal((1, 0, 20U), Wait(memory));
        Assert.True(memory.Slice(Source, 4096).SequenceEqual(memory.Slice(Second, 4096)));

        // More differences than the record has room for; then one whose offsets do not rise.
        Random.Shared.NextBytes(memory.Slice(Second, 4096));
        Submit(pair.Connection, Descriptor(7, Completes, Memory + Source, Memory + Second, 4096, own: [Memory + Destination, 80]));
        (int status, int result, _) = Wait(memory);
        Assert.Equal((1, 2), (status, result));
        BinaryPrimitives.WriteUInt16LittleEndian(memory.Slice(Destination + 10, 2), BinaryPrimitives.ReadUInt16LittleEndian(memory.Slice(Destination, 2)));
        Submit(pair.Connection, Descriptor(8, Completes, Memory + Destination, Memory + Source, 4096, own: [20]));
        Assert.Equal(7, Wait(memory).Status);
    }

    [Fact]
    public async Task Batch_executes_its_list_and_tells_what_failed()
    {
        await using DevicePair<DsaDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        Enable(pair.Connection);
        for (int i = 0; i < 100; i++)
        {
            memory.Slice((nuint)(Source + i), 1)[0] = (byte)i;
            Descriptor(3, 0, Memory + Source + (ulong)i, Memory + Destination + (ulong)(99 - i), 1).CopyTo(memory.Slice((nuint)(List + (64 * i)), 64));
        }

        Submit(pair.Connection, Descriptor(1, Completes, Memory + List, 0, 100));
        Assert.Equal((1, 0, 100U), Wait(memory));
        Assert.Equal(Enumerable.Range(0, 100).Select(static i => (byte)(99 - i)), memory.Slice(Destination, 100).ToArray());

        // One fails; what is fenced behind it is not executed.
        Descriptor(3, 4, Nowhere, Memory + Destination, 1, completion: Memory + 64).CopyTo(memory.Slice(List + 64, 64));
        Descriptor(3, 1, Memory + Source + 7, Memory + Destination, 1).CopyTo(memory.Slice(List + (64 * 3), 64));
        Submit(pair.Connection, Descriptor(1, Completes, Memory + List, 0, 100));
        Assert.Equal((5, 0, 3U), Wait(memory));
        Assert.Equal(0x1F, memory.Slice(64, 1)[0]);
        Assert.Equal(0UL, pair.Connection.Bar(0).Read64(0xC0));
    }

    [Theory]
    [InlineData(0x1E, 0u, 16u, 0x10)] // no such operation
    [InlineData(3, 2u, 16u, 0x11)] // block on fault
    [InlineData(3, 0x80u, 16u, 0x11)] // nothing to check
    [InlineData(3, 0u, 0u, 0x13)]
    [InlineData(3, 0u, 65537u, 0x13)]
    [InlineData(1, 0u, 1u, 0x14)]
    [InlineData(1, 0u, 1025u, 0x14)]
    [InlineData(3, 0x10u, 16u, 0x19)] // no vector 0
    [InlineData(9, 0u, 16u, 0x17)]
    [InlineData(7, 0u, 12u, 0x13)]
    [InlineData(7, 0u, 16u, 0x15)]
    public async Task Descriptor_that_is_wrong_is_refused_with_its_reason(int opcode, uint flags, uint size, int expected)
    {
        await using DevicePair<DsaDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        Enable(pair.Connection);
        Submit(pair.Connection, Descriptor((byte)opcode, Completes | flags, Memory + Source, Memory + Destination, size, own: [Memory + Second + 8, 7]));
        Assert.Equal(expected, Wait(memory).Status);
        Assert.Equal(expected == 0x11 ? flags : 0, BinaryPrimitives.ReadUInt32LittleEndian(memory.Slice(Record + 16, 4)));
    }

    [Fact]
    public async Task Address_that_is_not_mapped_is_told_with_the_page_and_what_was_done()
    {
        await using DevicePair<DsaDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        Enable(pair.Connection);
        const ulong End = Memory + Length;
        Submit(pair.Connection, Descriptor(3, Completes, Memory + Source, End - 100, 200));
        Assert.Equal((0x9F, 0, 100U), Wait(memory));
        Assert.Equal(End, BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice(Record + 8, 8)));
        Submit(pair.Connection, Descriptor(3, Completes, End - 100, Memory + Destination, 200));
        Assert.Equal(0x1F, Wait(memory).Status);
        Assert.Equal(End, BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice(Record + 8, 8)));
        Assert.Equal(0UL, pair.Connection.Bar(0).Read64(0xC0));
    }

    [Fact]
    public async Task What_no_record_can_tell_is_a_software_error()
    {
        await using DevicePair<DsaDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix, DsaLimits.Vectors);
        Enable(pair.Connection);
        VfioRegion bar = pair.Connection.Bar(0);
        bar.Write32(0x88, 1);
        Submit(pair.Connection, Descriptor(3, Completes, Memory + Source, Memory + Destination, 8, completion: Nowhere));
        Assert.True(msix[0].Wait(s_patience));
        Assert.Equal(1U, bar.Read32(0x98));
        ulong error = bar.Read64(0xC0);
        Assert.Equal((0x2DU, 0x1AU, 3U), ((uint)error & 0xFF, (uint)(error >> 8) & 0xFF, (uint)(error >> 32) & 0xFF));
        Assert.Equal(Nowhere, bar.Read64(0xD0));

        // The first one stays until it is taken; that there were more is told.
        Submit(pair.Connection, Descriptor(3, Completes, Memory + Source, Memory + Destination, 8), queue: 5);
        Assert.Equal(error | 2, bar.Read64(0xC0));
        bar.Write64(0xC0, 3);
        Submit(pair.Connection, Descriptor(3, Completes, Memory + Source, Memory + Destination, 8), queue: 5);
        error = bar.Read64(0xC0);
        Assert.Equal((0x09U, 0x51U, 5U), ((uint)error & 0xFF, (uint)(error >> 8) & 0xFF, (uint)(error >> 16) & 0xFF));
    }

    [Fact]
    public async Task Commands_check_the_configuration()
    {
        await using DevicePair<DsaDevice> pair = Pair();
        VfioConnection user = pair.Connection;
        VfioRegion bar = user.Bar(0);
        SetMaster(user, false);
        Assert.Equal(0x12U, Command(user, 1));
        SetMaster(user, true);
        Assert.Equal(1U, Command(user, 13));
        Assert.Equal(0x31U, Command(user, 2));
        Assert.Equal(0x32U, Command(user, 3));
        Assert.Equal(0x20U, Command(user, 6));

        bar.Write64(0x400, 1);
        Assert.Equal(0x17U, Command(user, 1));
        bar.Write64(0x420, 1);
        bar.Write64(0x440, 1);
        bar.Write64(0x460, 2);
        Assert.Equal(0x15U, Command(user, 1));
        bar.Write64(0x440, 2);
        bar.Write64(0x460, 1);
        Assert.Equal(0x16U, Command(user, 1));
        bar.Write64(0x460, 2);
        bar.Write32(0x540, 1);
        Assert.Equal(0x15U, Command(user, 1));
        bar.Write32(0x540, 0);
        bar.Write32(0x500, 129);
        Assert.Equal(0x14U, Command(user, 1));
        bar.Write32(0x500, 0);
        Assert.Equal(0U, Command(user, 1));
        Assert.Equal(0x10U, Command(user, 1));
        bar.Write64(0x400, 3);
        bar.Write32(0x500, 65535);
        Assert.Equal((1UL, 0U), (bar.Read64(0x400), bar.Read32(0x500)));

        Assert.Equal(2U, Command(user, 6, 8));
        Assert.Equal(0x22U, Command(user, 6));
        Assert.Equal(0U, Command(user, 2));
        bar.Write32(0x500, 16);
        Assert.Equal(0U, Command(user, 1));
        Assert.Equal(0x23U, Command(user, 6));
        bar.Write32(0x508, 0x10);
        Assert.Equal(0x24U, Command(user, 6));
        bar.Write32(0x508, 0x13);
        Assert.Equal(0x25U, Command(user, 6));
        bar.Write32(0x508, 0x1000_0011);
        Assert.Equal(0x26U, Command(user, 6));
        bar.Write32(0x508, 0x11);
        bar.Write32(0x50C, 16 | (11 << 5));
        Assert.Equal(0x27U, Command(user, 6));
        bar.Write32(0x50C, 17);
        Assert.Equal(0x28U, Command(user, 6));
        bar.Write32(0x50C, 16);
        Assert.Equal(0U, Command(user, 6));
        Assert.Equal(0x21U, Command(user, 6));
        Assert.Equal(1U << 30, bar.Read32(0x518));
        bar.Write32(0x500, 32);
        Assert.Equal(16U, bar.Read32(0x500));

        Assert.Equal(0x32U, Command(user, 8, 2));
        Assert.Equal(2U, Command(user, 8, 0x100));
        Assert.Equal(0U, Command(user, 10, 1));
        Assert.Equal((16U, 0U, 0U), (bar.Read32(0x500), bar.Read32(0x508), bar.Read32(0x518)));
        Assert.Equal(0U, Command(user, 5));
        Assert.Equal((0U, 0UL, 0U), (bar.Read32(0x90), bar.Read64(0x400), bar.Read32(0x500)));
    }

    [Fact]
    public async Task Disabling_waits_for_what_is_under_way_and_aborting_drops_it()
    {
        await using DevicePair<DsaDevice> pair = Pair(new DsaOptions { LongestTransfer = 1 << 18 });
        using DmaBuffer memory = pair.Connection.AllocateDma(0x10_0000, iova: Memory);
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix, DsaLimits.Vectors);
        Enable(pair.Connection, transferShift: 18);
        for (int i = 0; i < 16; i++)
        {
            Submit(pair.Connection, Descriptor(3, Completes, Memory + Source, Memory + 0x8_0000, 1 << 18, completion: Memory + (ulong)(i * 32)));
        }

        pair.Connection.Bar(0).Write32(0xA0, 0x8000_0000 | (7U << 20) | 1);
        Assert.True(msix[0].Wait(s_patience));
        Assert.Equal(2U, pair.Connection.Bar(0).Read32(0x98));
        Assert.Equal((0U, 0U), (pair.Connection.Bar(0).Read32(0xA8), pair.Connection.Bar(0).Read32(0x518)));
        Assert.All(Enumerable.Range(0, 16), i => Assert.Equal(1, memory.Slice((nuint)(i * 32), 1)[0]));

        // More than the work queue holds is a software error, of which the device lives on; a reset drops what waits.
        Assert.Equal(0U, Command(pair.Connection, 6));
        for (int i = 0; i < 200; i++)
        {
            Submit(pair.Connection, Descriptor(3, Completes, Memory + Source, Memory + 0x8_0000, 1 << 18));
        }

        Assert.Equal(0x52U, (uint)(pair.Connection.Bar(0).Read64(0xC0) >> 8) & 0xFF);
        Assert.Equal(0U, Command(pair.Connection, 5));
        Assert.Equal(0UL, pair.Connection.Bar(0).Read64(0xC0));
    }

    [Fact]
    public async Task Store_in_pieces_is_one_descriptor_and_a_torn_one_is_none()
    {
        await using DevicePair<DsaDevice> pair = Pair();
        using DmaBuffer memory = pair.Connection.AllocateDma(Length, iova: Memory);
        Enable(pair.Connection);
        VfioRegion portal = pair.Connection.Bar(2);
        byte[] move = Descriptor(3, Completes, Memory + Source, Memory + Destination, 8);
        portal.Write32(0x1040, 7);
        portal.Write32(0x1050, 7);
        for (int at = 0; at < 64; at += 4)
        {
            portal.Write32((ulong)(0x1040 + at), BinaryPrimitives.ReadUInt32LittleEndian(move.AsSpan(at)));
        }

        Assert.Equal((1, 0, 8U), Wait(memory));
        Assert.Equal(0UL, pair.Connection.Bar(0).Read64(0xC0));
    }

    /// <summary>A batch of gigabytes does not keep anyone waiting who aborts it or resets the function.</summary>
    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(0)]
    public async Task Long_batch_ends_at_once_when_it_is_abandoned(uint command)
    {
        const int Size = 1 << 24;
        await using DevicePair<DsaDevice> pair = Pair(new DsaOptions { LongestTransfer = Size });
        using DmaBuffer memory = pair.Connection.AllocateDma(2 * Size, iova: Memory);
        Enable(pair.Connection, transferShift: 24);
        for (int i = 0; i < 1024; i++)
        {
            Descriptor(4, 0, 0x55, Memory + Size, Size).CopyTo(memory.Slice((nuint)(List + (64 * i)), 64));
        }

        Submit(pair.Connection, Descriptor(1, Completes, Memory + List, 0, 1024));
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref memory.Slice(Size, 1)[0]) == 0x55, s_patience));
        if (command == 0)
        {
            pair.Connection.Reset();
        }
        else
        {
            Assert.Equal(0U, Command(pair.Connection, command));
        }

        Assert.Equal(0, memory.Slice(Record, 1)[0]);
        if (command != 4)
        {
            Enable(pair.Connection, transferShift: 24);
        }

        Submit(pair.Connection, Descriptor(4, Completes, 0xAA, Memory + Size, Size));
        Assert.Equal((1, 0, (uint)Size), Wait(memory));
        Assert.Equal(-1, memory.Slice(Size + 8, 8).IndexOfAnyExcept((byte)0xAA, (byte)0));
        Assert.Equal(0UL, pair.Connection.Bar(0).Read64(0xC0));
    }

    [Fact]
    public async Task Device_moves_with_what_waits_in_its_queues()
    {
        const int Size = 1 << 24;
        const int Count = 64;
        await using DevicePair<DsaDevice> source = Pair(new DsaOptions { LongestTransfer = Size });
        await using DevicePair<DsaDevice> target = Pair(new DsaOptions { LongestTransfer = Size });
        using DmaBuffer there = source.Connection.AllocateDma(2 * Size, iova: Memory);
        using DmaBuffer here = target.Connection.AllocateDma(2 * Size, iova: Memory);
        Enable(source.Connection, transferShift: 24);
        for (int i = 0; i < Count; i++)
        {
            Submit(source.Connection, Descriptor(4, Completes, 0x55, Memory + Size, Size, completion: Memory + (ulong)(32 * i)));
        }

        byte[] state = DeviceState.Save(source.Connection);
        int done = Done(there);
        Assert.InRange(done, 0, Count - 1);
        Assert.Equal(Errno.None, DeviceState.TryRestore(target.Connection, state));

        // Each one is executed once, there or here.
        Assert.True(SpinWait.SpinUntil(() => Done(here) == Count - done, s_patience));
        Assert.All(Enumerable.Range(0, Count), i => Assert.Equal(1, there.Slice((nuint)(32 * i), 1)[0] + here.Slice((nuint)(32 * i), 1)[0]));
        Assert.Equal(0UL, target.Connection.Bar(0).Read64(0xC0));

        static int Done(DmaBuffer memory) => Enumerable.Range(0, Count).Count(i => Volatile.Read(ref memory.Slice((nuint)(32 * i), 1)[0]) == 1);
    }

    [Theory]
    [InlineData("transfer=5000")]
    [InlineData("transfer=2048")]
    [InlineData("queues=3")]
    [InlineData("transfer")]
    public void Setting_that_is_not_accepted_says_what_is(string setting)
        => Assert.Contains("transfer=a power of two", Assert.Throws<FormatException>(() => DsaOptions.Parse([setting])).Message, StringComparison.Ordinal);

    private static void Enable(VfioConnection user, int transferShift = 16)
    {
        SetMaster(user, true);
        VfioRegion bar = user.Bar(0);
        bar.Write32(0x500, 128);
        bar.Write32(0x508, 0x11);
        bar.Write32(0x50C, (uint)transferShift | (10 << 5));
        bar.Write64(0x400, 1);
        bar.Write64(0x420, 1);
        Assert.Equal(0U, Command(user, 1));
        Assert.Equal(0U, Command(user, 6));
    }

    private static void SetMaster(VfioConnection user, bool enabled) => user.Config.Write16(4, enabled ? (ushort)6 : (ushort)2);

    private static uint Command(VfioConnection user, uint command, uint operand = 0)
    {
        VfioRegion bar = user.Bar(0);
        bar.Write32(0xA0, (command << 20) | operand);
        long until = Stopwatch.GetTimestamp() + (long)(s_patience.TotalSeconds * Stopwatch.Frequency);
        uint status;
        while (((status = bar.Read32(0xA8)) & 0x8000_0000) != 0)
        {
            Assert.True(Stopwatch.GetTimestamp() < until, "the command does not end");
        }

        return status;
    }

    private static byte[] Descriptor(byte opcode, uint flags, ulong source, ulong destination, uint size, ushort handle = 0, ulong completion = Memory + Record, params ReadOnlySpan<ulong> own)
    {
        byte[] bytes = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(0), 0x8000_0000);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags | ((uint)opcode << 24));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), (flags & 4) != 0 ? completion : 0);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), source);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), destination);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(32), size);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(36), handle);
        MemoryMarshal.AsBytes(own).CopyTo(bytes.AsSpan(40));
        return bytes;
    }

    private static void Submit(VfioConnection user, byte[] descriptor, int queue = 0)
        => user.Bar(2).Write((ulong)(queue * 0x4000), descriptor);

    /// <summary>Waits for the record, and clears its status for the next one.</summary>
    private static (int Status, int Result, uint Completed) Wait(DmaBuffer memory)
    {
        long until = Stopwatch.GetTimestamp() + (long)(s_patience.TotalSeconds * Stopwatch.Frequency);
        while (Volatile.Read(ref memory.Slice(Record, 1)[0]) == 0)
        {
            Assert.True(Stopwatch.GetTimestamp() < until, "no completion");
            Thread.Yield();
        }

        (int, int, uint) record = (memory.Slice(Record, 1)[0], memory.Slice(Record + 1, 1)[0], BinaryPrimitives.ReadUInt32LittleEndian(memory.Slice(Record + 4, 4)));
        memory.Slice(Record, 1)[0] = 0;
        return record;
    }
}
