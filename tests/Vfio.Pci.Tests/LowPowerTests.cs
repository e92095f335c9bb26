using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Pci.Tests;

/// <summary>Low power by a user's wish: vfio-core case 160.</summary>
public sealed class LowPowerTests
{
    private const uint Entry = VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY;
    private const uint EntryWithWakeup = VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP;
    private const uint Exit = VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
    private const uint Set = VfioUapi.VFIO_DEVICE_FEATURE_SET;

    private static PciRig Device() => new(static pci => pci.Bar(0, new CallbackRegisters("m", 0x10).Add(0, static () => 0x77)));

    [Fact]
    public async Task Case160_entry_is_once_and_exit_is_always()
    {
        await using PciRig rig = Device();
        Assert.Equal(Errno.None, Feature(rig, Entry | Set));
        Assert.Equal(Errno.EINVAL, Feature(rig, Entry | Set));
        Assert.Equal(Errno.None, Feature(rig, Exit | Set));
        Assert.Equal(Errno.None, Feature(rig, Exit | Set));
        Assert.Equal(Errno.EINVAL, Feature(rig, Entry | VfioUapi.VFIO_DEVICE_FEATURE_GET));
        Assert.Equal(Errno.None, Feature(rig, Entry | Set | VfioUapi.VFIO_DEVICE_FEATURE_PROBE));
        Assert.False(rig.Device.IsSuspended);
    }

    [Fact]
    public async Task Accesses_wake_the_device_and_it_falls_asleep_again()
    {
        await using PciRig rig = Device();
        Assert.Equal(Errno.None, Feature(rig, Entry | Set));
        Assert.True(rig.Device.IsSuspended);
        Assert.Equal(0x77ul, rig.Load(0, 0, 4));
        Assert.True(rig.Device.IsSuspended);
        Assert.Equal(0x5678_1234u, rig.Config(0));
        rig.SetConfig(PciRegister.InterruptLine, 5, 1);
        Assert.Equal(Errno.None, rig.File.GetInfo(out _));
        Assert.Equal((5, 4), (rig.Device.Suspends, rig.Device.Resumes));
        rig.Device.Wake();
        Assert.Equal((6, 5), (rig.Device.Suspends, rig.Device.Resumes));
        Assert.Equal(Errno.None, Feature(rig, Exit | Set));
        Assert.False(rig.Device.IsSuspended);
        Assert.Equal((6, 6), (rig.Device.Suspends, rig.Device.Resumes));
    }

    [Fact]
    public async Task Device_that_does_not_wake_fails_the_access_with_EIO()
    {
        await using PciRig rig = Device();
        Assert.Equal(Errno.None, Feature(rig, Entry | Set));
        rig.Device.ResumeResult = Errno.ENODEV;
        Assert.Equal(Errno.EIO, rig.Read(0, 0, new byte[4]).Error);
        Assert.Equal(Errno.EIO, rig.Write(0, 0, new byte[4]).Error);
        Assert.Equal(Errno.EIO, rig.File.GetInfo(out _));
        Assert.Equal(Errno.EIO, Feature(rig, Exit | Set));
        rig.Device.ResumeResult = Errno.None;
        Assert.Equal(0x77ul, rig.Load(0, 0, 4));
    }

    [Fact]
    public async Task Wakeup_signals_its_eventfd_and_ends_low_power()
    {
        await using PciRig rig = Device();
        EventFd wake = rig.NewEventFd();
        using MemFd memory = new("no eventfd", 4096);
        Assert.Equal(Errno.EINVAL, Feature(rig, EntryWithWakeup | Set, -1, wake.Descriptor));
        Assert.Equal(Errno.EBADF, Feature(rig, EntryWithWakeup | Set, 6, wake.Descriptor));
        Assert.Equal(Errno.EINVAL, Feature(rig, EntryWithWakeup | Set, 5, memory.Descriptor));
        Assert.Equal(Errno.EINVAL, Feature(rig, EntryWithWakeup | Set, argsz: 8));
        Assert.Equal(Errno.EFAULT, Feature(rig, EntryWithWakeup | Set, argsz: 16, length: 8));
        Assert.Equal(Errno.None, Feature(rig, EntryWithWakeup | Set, 5, wake.Descriptor));
        Assert.Equal(0ul, wake.Take());
        rig.Device.Wake();
        Assert.Equal(1ul, wake.Take());
        Assert.False(rig.Device.IsSuspended);
        rig.Device.Wake();
        Assert.Equal(0ul, wake.Take());

        // An access wakes too, and another entry may follow.
        Assert.Equal(Errno.None, Feature(rig, EntryWithWakeup | Set, 5, wake.Descriptor));
        Assert.Equal(0x77ul, rig.Load(0, 0, 4));
        Assert.Equal(1ul, wake.Take());
        Assert.Equal(Errno.None, Feature(rig, Entry | Set));
    }

    [Fact]
    public async Task Last_close_ends_low_power()
    {
        using DescriptorLeakGuard guard = new();
        await using PciRig rig = Device();
        EventFd wake = rig.NewEventFd();
        Assert.Equal(Errno.None, Feature(rig, EntryWithWakeup | Set, 5, wake.Descriptor));
        rig.Reopen();
        Assert.False(rig.Device.IsSuspended);
        Assert.Equal(0ul, wake.Take());
        Assert.Equal(Errno.None, Feature(rig, Entry | Set));
    }

    private static Errno Feature(PciRig rig, uint flags, int eventFd = 0, FileDescriptor? descriptor = null, uint argsz = 16, int length = 16)
    {
        byte[] bytes = new byte[length];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, argsz);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags);
        if (length > 8)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), eventFd);
        }

        TestFileTable files = new();
        if (descriptor is not null)
        {
            files.Files[5] = descriptor;
        }

        return rig.File.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(bytes, files)).Error;
    }
}
