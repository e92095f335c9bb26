using System.Diagnostics;
using Vfio.Devices.Edu;
using Vfio.Qemu.Tests.Harness;

namespace Vfio.Qemu.Tests;

/// <summary>Edu through QEMU's real vfio-user client, next to QEMU's own edu as the reference.</summary>
public sealed class EduQtestTests
{
    private const ulong Buffer = 0x20_0000;
    private const ulong DeviceBuffer = 0x40000;
    private const int InterruptPin = 20;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    public static TheoryData<EduKind> Kinds => [.. Enum.GetValues<EduKind>()];

    public static TheoryData<EduKind> Served => [.. Enum.GetValues<EduKind>().Where(kind => kind != EduKind.Qemu)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Identity_bar_and_registers(EduKind kind)
    {
        await using EduMachine fixture = await EduMachine.StartAsync(kind);
        QtestPciFunction edu = fixture.Edu;

        Assert.Equal(0x1234, edu.VendorId);
        Assert.Equal(0x11E8, edu.DeviceId);
        Assert.Equal(0x00FF_0010u, edu.ReadConfig32(8));

        edu.Enable();
        QtestBar bar = Assert.IsType<QtestBar>(edu.Bars[0]);
        Assert.Equal((1UL << 20, false, false), (bar.Size, bar.IsPort, bar.Is64Bit));
        Assert.All(edu.Bars.Skip(1), Assert.Null);

        Assert.Equal(0x0100_00EDu, edu.ReadBar32(0, 0));
        edu.WriteBar32(0, 4, 0x1234_5678);
        Assert.Equal(~0x1234_5678u, edu.ReadBar32(0, 4));
        edu.WriteBar32(0, 8, 10);
        await UntilAsync(() => (edu.ReadBar32(0, 0x20) & 1) == 0, "the factorial does not end");
        Assert.Equal(3_628_800u, edu.ReadBar32(0, 8));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Line_interrupt_rises_and_falls(EduKind kind)
    {
        await using EduMachine fixture = await EduMachine.StartAsync(kind);
        QtestPciFunction edu = fixture.Edu;
        edu.Enable();
        fixture.Machine.InterceptInterrupts();

        edu.WriteBar32(0, 0x60, 0x5);
        Assert.Equal(new InterruptEvent(InterruptPin, true), fixture.Machine.WaitForInterrupt(s_patience));
        Assert.Equal(0x5u, edu.ReadBar32(0, 0x24));

        edu.WriteBar32(0, 0x64, 0x5);
        Assert.Equal(0u, edu.ReadBar32(0, 0x24));
        // QEMU's client lowers the line at each access and raises it again while the device asserts it.
        bool raised = true;
        while (fixture.Machine.WaitForInterrupt(TimeSpan.FromMilliseconds(200)) is { } change)
        {
            Assert.Equal(InterruptPin, change.Pin);
            raised = change.Raised;
        }

        Assert.False(raised);
    }

    [Theory]
    [MemberData(nameof(Served))]
    public async Task Line_interrupt_that_is_not_acknowledged_rises_again(EduKind kind)
    {
        await using EduMachine fixture = await EduMachine.StartAsync(kind);
        QtestPciFunction edu = fixture.Edu;
        edu.Enable();
        fixture.Machine.InterceptInterrupts();

        edu.WriteBar32(0, 0x60, 1);
        Assert.Equal(new InterruptEvent(InterruptPin, true), fixture.Machine.WaitForInterrupt(s_patience));
        // The access makes the client lower the line and unmask the interrupt, which the device still asserts.
        Assert.Equal(1u, edu.ReadBar32(0, 0x24));
        Assert.Equal(new InterruptEvent(InterruptPin, false), fixture.Machine.WaitForInterrupt(s_patience));
        Assert.Equal(new InterruptEvent(InterruptPin, true), fixture.Machine.WaitForInterrupt(s_patience));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Message_interrupt_is_a_write_to_memory(EduKind kind)
    {
        await using EduMachine fixture = await EduMachine.StartAsync(kind);
        fixture.Edu.Enable();
        fixture.Machine.WriteMemory(Buffer, new byte[4]);
        fixture.Edu.EnableMsi(Buffer, 0xCAFE);

        for (int i = 0; i < 3; i++)
        {
            fixture.Edu.WriteBar32(0, 0x60, 2);
            Assert.Equal(0xCAFEu, fixture.Machine.WaitForChange32(Buffer, 0));
            Assert.Equal(2u, fixture.Edu.ReadBar32(0, 0x24));
            fixture.Edu.WriteBar32(0, 0x64, 2);
            fixture.Machine.Write32(Buffer, 0);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Dma_both_ways_with_interrupt(EduKind kind)
    {
        await using EduMachine fixture = await EduMachine.StartAsync(kind);
        QtestMachine machine = fixture.Machine;
        fixture.Edu.Enable();
        machine.WriteMemory(Buffer, new byte[4]);
        fixture.Edu.EnableMsi(Buffer, 0xD0E5);

        byte[] data = [.. Enumerable.Range(0, 4096).Select(i => (byte)(i * 7 + (i >> 8)))];
        machine.WriteMemory(Buffer + 0x1000, data);
        await CopyAsync(fixture, Buffer + 0x1000, DeviceBuffer, data.Length, command: 1);
        await CopyAsync(fixture, DeviceBuffer, Buffer + 0x3123, data.Length, command: 3 | 4);

        Assert.Equal(0xD0E5u, machine.WaitForChange32(Buffer, 0));
        Assert.Equal(0x100u, fixture.Edu.ReadBar32(0, 0x24));
        Assert.Equal(data, machine.ReadMemory(Buffer + 0x3123, data.Length));
        Assert.Equal(new byte[3], machine.ReadMemory(Buffer + 0x3120, 3));
        Assert.Equal(new byte[3], machine.ReadMemory(Buffer + 0x3123 + 4096, 3));
    }

    [Theory]
    [MemberData(nameof(Served))]
    public async Task Dma_to_an_address_without_memory_ends_and_the_device_goes_on(EduKind kind)
    {
        // Above RAM (64 MiB) and below the highest address of the 28-bit engine.
        const ulong Nowhere = 0x0800_0000;
        await using EduMachine fixture = await EduMachine.StartAsync(kind);
        fixture.Edu.Enable();

        await CopyAsync(fixture, Nowhere, DeviceBuffer, 64, command: 1);
        await CopyAsync(fixture, DeviceBuffer, Nowhere, 64, command: 3);

        fixture.Machine.WriteMemory(Buffer, [1, 2, 3, 4]);
        await CopyAsync(fixture, Buffer, DeviceBuffer, 4, command: 1);
        await CopyAsync(fixture, DeviceBuffer, Buffer + 0x100, 4, command: 3);
        Assert.Equal([1, 2, 3, 4], fixture.Machine.ReadMemory(Buffer + 0x100, 4));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Reset_of_the_machine_resets_the_device(EduKind kind)
    {
        await using EduMachine fixture = await EduMachine.StartAsync(kind);
        QtestPciFunction edu = fixture.Edu;
        edu.Enable();
        fixture.Machine.InterceptInterrupts();
        edu.WriteBar32(0, 0x60, 1);
        Assert.Equal(new InterruptEvent(InterruptPin, true), fixture.Machine.WaitForInterrupt(s_patience));
        edu.WriteBar32(0, 0x64, 1);

        await fixture.Machine.ResetAsync();

        Assert.Equal(0u, edu.ReadConfig32(0x10));
        Assert.Equal(0, edu.ReadConfig16(4) & 7);
        edu.Enable();
        Assert.Equal(0x0100_00EDu, edu.ReadBar32(0, 0));
        Assert.Equal(0u, edu.ReadBar32(0, 0x24));
    }

    [Fact]
    public async Task Device_is_free_for_the_next_machine_when_qemu_is_killed()
    {
        await using ServedEdu served = new();
        for (int i = 0; i < 3; i++)
        {
            using (QtestMachine machine = await QtestMachine.StartAsync(served.Device.At(EduMachine.Slot)))
            {
                QtestPciFunction edu = machine.Pci(EduMachine.Slot);
                edu.Enable();
                Assert.True(served.Server.HasClient);
                // What the last machine left behind is not to be seen.
                Assert.Equal(0u, edu.ReadBar32(0, 0x24));
                edu.WriteBar32(0, 0x60, 1);
                Assert.Equal(1u, edu.ReadBar32(0, 0x24));
            }

            await served.WaitUntilFreeAsync();
        }
    }

    [Fact]
    public async Task Two_devices_of_two_servers_in_one_machine_do_not_mix()
    {
        await using ServedEdu first = new();
        await using ServedEdu second = new();
        using QtestMachine machine = await QtestMachine.StartAsync(first.Device.At(4), second.Device.At(5));
        QtestPciFunction a = machine.Pci(4);
        QtestPciFunction b = machine.Pci(5);
        a.Enable();
        b.Enable();

        a.WriteBar32(0, 4, 0x1111_1111);
        b.WriteBar32(0, 4, 0x2222_2222);
        Assert.Equal(~0x1111_1111u, a.ReadBar32(0, 4));
        Assert.Equal(~0x2222_2222u, b.ReadBar32(0, 4));

        machine.WriteMemory(Buffer, new byte[8]);
        a.EnableMsi(Buffer, 0xAAAA);
        b.EnableMsi(Buffer + 4, 0xBBBB);
        b.WriteBar32(0, 0x60, 1);
        Assert.Equal(0xBBBBu, machine.WaitForChange32(Buffer + 4, 0));
        Assert.Equal(0u, machine.Read32(Buffer));
    }

    [Fact]
    public async Task Second_machine_is_refused_while_the_first_has_the_device()
    {
        await using ServedEdu served = new();
        using QtestMachine machine = await QtestMachine.StartAsync(served.Device.At(EduMachine.Slot));
        QtestPciFunction edu = machine.Pci(EduMachine.Slot);
        edu.Enable();

        await Assert.ThrowsAsync<QemuException>(() => QtestMachine.StartAsync(served.Device.At(EduMachine.Slot)));

        Assert.Equal(0x0100_00EDu, edu.ReadBar32(0, 0));
    }

    private static async Task CopyAsync(EduMachine fixture, ulong source, ulong destination, int length, uint command)
    {
        fixture.Edu.WriteBar64(0, 0x80, source);
        fixture.Edu.WriteBar64(0, 0x88, destination);
        fixture.Edu.WriteBar64(0, 0x90, (ulong)length);
        fixture.Edu.WriteBar32(0, 0x98, command);
        await UntilAsync(
            () =>
            {
                // QEMU's own waits for the machine's clock.
                fixture.Machine.StepClock();
                return (fixture.Edu.ReadBar32(0, 0x98) & 1) == 0;
            },
            "the transfer does not end");
    }

    private static async Task UntilAsync(Func<bool> condition, string problem)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < s_patience, problem);
            await Task.Delay(1);
        }
    }
}
