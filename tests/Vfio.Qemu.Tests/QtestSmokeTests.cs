using System.Diagnostics;
using Vfio.Qemu.Tests.Harness;

namespace Vfio.Qemu.Tests;

/// <summary>The harness against devices of QEMU's own: what fails here is the harness, not a device of the project.</summary>
public sealed class QtestSmokeTests
{
    private const int Slot = 4;
    private const ulong Buffer = 0x20_0000;

    [Fact]
    public async Task Edu_identification_and_liveness_through_bar()
    {
        using QtestMachine machine = await QtestMachine.StartAsync(QemuDevice.Of("edu").At(Slot));
        QtestPciFunction edu = machine.Pci(Slot);

        Assert.Equal(0x1234, edu.VendorId);
        Assert.Equal(0x11E8, edu.DeviceId);
        Assert.Equal(0xFFFF, machine.Pci(Slot + 1).VendorId);

        edu.Enable();
        QtestBar bar = Assert.IsType<QtestBar>(edu.Bars[0]);
        Assert.Equal(1UL << 20, bar.Size);
        Assert.False(bar.IsPort);
        Assert.Equal(0x0100_00EDu, edu.ReadBar32(0, 0));
        edu.WriteBar32(0, 4, 0x1234_5678);
        Assert.Equal(~0x1234_5678u, edu.ReadBar32(0, 4));
    }

    [Fact]
    public async Task Edu_interrupt_raises_and_lowers_the_line()
    {
        using QtestMachine machine = await QtestMachine.StartAsync(QemuDevice.Of("edu").At(Slot));
        QtestPciFunction edu = machine.Pci(Slot);
        edu.Enable();
        machine.InterceptInterrupts();

        edu.WriteBar32(0, 0x60, 1);
        Assert.Equal(new InterruptEvent(20, true), machine.WaitForInterrupt(TimeSpan.FromSeconds(10)));
        Assert.Equal(1u, edu.ReadBar32(0, 0x24));
        edu.WriteBar32(0, 0x64, 1);
        Assert.Equal(new InterruptEvent(20, false), machine.WaitForInterrupt(TimeSpan.FromSeconds(10)));
        Assert.Null(machine.WaitForInterrupt(TimeSpan.FromMilliseconds(50)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Edu_message_and_dma_reach_memory(bool sharedMemory)
    {
        using QtestMachine machine = await QtestMachine.StartAsync(
            new QtestOptions { Devices = [QemuDevice.Of("edu").At(Slot)], SharedMemory = sharedMemory });
        QtestPciFunction edu = machine.Pci(Slot);
        edu.Enable();

        machine.WriteMemory(Buffer, new byte[4]);
        edu.EnableMsi(Buffer, 0xCAFE);
        edu.WriteBar32(0, 0x60, 1);
        Assert.Equal(0xCAFEu, machine.WaitForChange32(Buffer, 0));

        byte[] data = [.. Enumerable.Range(0, 256).Select(i => (byte)(i * 7))];
        machine.WriteMemory(Buffer + 0x1000, data);
        Assert.Equal(data, machine.ReadMemory(Buffer + 0x1000, data.Length));

        // The device's copy runs on the virtual clock, which stands still under qtest until it is stepped.
        Copy(machine, edu, Buffer + 0x1000, 0x40000, data.Length, command: 1);
        Copy(machine, edu, 0x40000, Buffer + 0x2000, data.Length, command: 3);
        Assert.Equal(data, machine.ReadMemory(Buffer + 0x2000, data.Length));
    }

    [Fact]
    public async Task Serial_registers_through_ports()
    {
        using QtestMachine machine = await QtestMachine.StartAsync(QemuDevice.Of("pci-serial").At(Slot));
        QtestPciFunction serial = machine.Pci(Slot);
        serial.Enable();

        QtestBar bar = Assert.IsType<QtestBar>(serial.Bars[0]);
        Assert.True(bar.IsPort);
        Assert.Equal(8UL, bar.Size);
        serial.WriteBar8(0, 7, 0x5A);
        Assert.Equal(0x5A, serial.ReadBar8(0, 7));
        Assert.Equal(0x60, serial.ReadBar8(0, 5) & 0x60);
    }

    [Fact]
    public async Task ReadConfig_of_express_function_covers_extended_space()
    {
        using QtestMachine machine = await QtestMachine.StartAsync(
            QemuDevice.Of("pcie-root-port").At(Slot).Named("rp1").With("chassis", 1));
        byte[] config = machine.Pci(Slot).ReadConfig(4096);

        Assert.Equal(machine.Pci(Slot).VendorId, BitConverter.ToUInt16(config, 0));
        // The first extended capability of a root port: advanced error reporting, version 2.
        Assert.Equal(0x0002_0001u, BitConverter.ToUInt32(config, 0x100) & 0x000F_FFFF);
    }

    [Fact]
    public async Task ResetAsync_resets_devices()
    {
        using QtestMachine machine = await QtestMachine.StartAsync(QemuDevice.Of("edu").At(Slot));
        QtestPciFunction edu = machine.Pci(Slot);
        edu.Enable();
        Assert.NotEqual(0u, edu.ReadConfig32(0x10));

        await machine.ResetAsync();

        Assert.Equal(0u, edu.ReadConfig32(0x10));
        edu.Enable();
        Assert.Equal(0x0100_00EDu, edu.ReadBar32(0, 0));
    }

    [Fact]
    public async Task Nvme_has_a_64_bit_bar_and_msix()
    {
        using QtestMachine machine = await QtestMachine.StartAsync(
            new QtestOptions { Devices = [QemuDevice.Of("nvme").At(Slot).With("serial", "s1")] });
        QtestPciFunction nvme = machine.Pci(Slot);
        nvme.Enable();

        QtestBar bar = Assert.IsType<QtestBar>(nvme.Bars[0]);
        Assert.True(bar.Is64Bit);
        Assert.Null(nvme.Bars[1]);
        Assert.NotEqual(0, nvme.FindCapability(0x11));
        Assert.Equal(0x0001_0400u, nvme.ReadBar32(0, 8));

        // An admin queue whose one command (Identify of a controller) is answered by a message to memory.
        machine.WriteMemory(Buffer, new byte[0x4000]);
        nvme.SetMsixVector(0, Buffer + 0x3000, 0xBEEF);
        nvme.EnableMsix();
        nvme.WriteBar32(0, 0x24, 0x000F_000F);
        nvme.WriteBar64(0, 0x28, Buffer);
        nvme.WriteBar64(0, 0x30, Buffer + 0x1000);
        nvme.WriteBar32(0, 0x14, 0x0046_0001);
        Assert.Equal(1u, nvme.ReadBar32(0, 0x1C) & 1);
        byte[] identify = new byte[64];
        identify[0] = 0x06;
        BitConverter.TryWriteBytes(identify.AsSpan(24), Buffer + 0x2000);
        identify[40] = 0x01;
        machine.WriteMemory(Buffer, identify);
        nvme.WriteBar32(0, 0x1000, 1);
        machine.StepClock();
        Assert.Equal(0xBEEFu, machine.WaitForChange32(Buffer + 0x3000, 0));
        Assert.Equal(nvme.VendorId, BitConverter.ToUInt16(machine.ReadMemory(Buffer + 0x2000, 2)));
    }

    [Fact]
    public async Task StartAsync_without_server_says_what_qemu_said()
    {
        QemuException e = await Assert.ThrowsAsync<QemuException>(
            () => QtestMachine.StartAsync(QemuDevice.VfioUser("/nonexistent/socket").At(Slot)));
        Assert.Contains("Failed to connect", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dispose_ends_qemu()
    {
        QtestMachine machine = await QtestMachine.StartAsync(QemuDevice.Of("edu").At(Slot));
        int id = machine.Process.Id;
        Assert.True(Directory.Exists($"/proc/{id}"));
        machine.Dispose();
        Assert.False(Directory.Exists($"/proc/{id}"));
    }

    private static void Copy(
        QtestMachine machine, QtestPciFunction edu, ulong source, ulong destination, int length, uint command)
    {
        edu.WriteBar64(0, 0x80, source);
        edu.WriteBar64(0, 0x88, destination);
        edu.WriteBar64(0, 0x90, (ulong)length);
        edu.WriteBar64(0, 0x98, command);
        long start = Stopwatch.GetTimestamp();
        while ((edu.ReadBar64(0, 0x98) & 1) != 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(10), "the copy does not end");
            machine.StepClock();
        }
    }
}
