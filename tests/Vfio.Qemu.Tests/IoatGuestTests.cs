using Vfio.Devices.Ioat;
using Vfio.Qemu.Tests.Harness;
using Vfio.Testing;

namespace Vfio.Qemu.Tests;

/// <summary>Linux' <c>ioatdma</c>, unmodified, on a copy engine of ours.</summary>
[Collection(GuestCollection.Name)]
public sealed class IoatGuestTests : IAsyncLifetime
{
    private const int Channels = 2;
    private readonly DevicePair<IoatDevice> _served = DevicePair.Serve(static () => new IoatDevice(new IoatOptions { Channels = Channels, LongestTransfer = 1 << 20 }));

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _served.DisposeAsync();

    /// <summary>The driver's probe copies by each channel, compares, and does not bind when that fails. Debian's kernel has no dmatest.</summary>
    [Fact]
    public async Task Driver_binds_after_its_self_test_and_again()
    {
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Drivers = ["ioatdma"],
            Devices = [QemuDevice.VfioUser(_served.SocketPath).At(4)],
        });
        const string Bound = "basename $(readlink /sys/class/dma/dma0chan0/device/driver); ls /sys/class/dma | wc -l; grep -c ioat /proc/interrupts";
        string expected = $"ioatdma\n{Channels}\n{Channels}";
        Assert.Equal(expected, await guest.RunAsync(Bound));
        for (int round = 0; round < 10; round++)
        {
            await guest.RunAsync(
                """
                cd /sys/bus/pci/drivers/ioatdma
                echo 0000:00:04.0 >unbind
                [ -z "$(ls /sys/class/dma)" ] || exit 1
                echo 0000:00:04.0 >bind
                """);
            Assert.Equal(expected, await guest.RunAsync(Bound));
        }

        await guest.CheckKernelAsync();
        Assert.Equal("", await guest.RunAsync("dmesg | grep -i 'ioat.*\\(fail\\|error\\|timed out\\)' || true"));
    }
}
