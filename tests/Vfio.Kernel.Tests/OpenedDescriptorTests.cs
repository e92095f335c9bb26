using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Kernel.Tests;

/// <summary>Descriptors that somebody else opened. Their good use is the same code as after an opening, which runs in the virtual machine.</summary>
public sealed class OpenedDescriptorTests
{
    [Fact]
    public void FromCdev_of_what_is_no_device_tells_the_step_and_closes_both()
    {
        FileDescriptor device = new MemFd("device", 0).Descriptor;
        FileDescriptor iommufd = new MemFd("iommufd", 0).Descriptor;
        VfioException exception = Assert.Throws<VfioException>(() => KernelConnection.FromCdev(device, iommufd, "vfio0"));
        Assert.Equal(Errno.ENOTTY, exception.Errno);
        Assert.Contains("vfio0", exception.Message, StringComparison.Ordinal);
        Assert.Contains("VFIO_DEVICE_BIND_IOMMUFD", exception.Message, StringComparison.Ordinal);
        Assert.True(device.IsClosed);
        Assert.True(iommufd.IsClosed);
    }

    [Fact]
    public void FromGroup_of_what_is_no_group_tells_the_step_and_closes_both()
    {
        FileDescriptor group = new MemFd("group", 0).Descriptor;
        FileDescriptor container = new MemFd("container", 0).Descriptor;
        VfioException exception = Assert.Throws<VfioException>(() => KernelConnection.FromGroup(group, container, "0000:00:04.0"));
        Assert.Equal(Errno.ENOTTY, exception.Errno);
        Assert.Contains("VFIO_GROUP_GET_STATUS", exception.Message, StringComparison.Ordinal);
        Assert.True(group.IsClosed);
        Assert.True(container.IsClosed);
    }
}
