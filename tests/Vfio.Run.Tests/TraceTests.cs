namespace Vfio.Run.Tests;

/// <summary><c>--trace</c>: calls as strace would tell them, and why they failed.</summary>
public sealed class TraceTests
{
    private static readonly Lazy<Task<string>> s_misuse = new(() => TraceAsync("misuse"));

    [Fact]
    public async Task Calls_are_told_with_names_and_results()
    {
        string trace = await TraceAsync("type1");
        Assert.Contains("openat(AT_FDCWD, \"/dev/vfio/vfio\", O_RDWR) = 512</dev/vfio/vfio>\n", trace, StringComparison.Ordinal);
        Assert.Contains("ioctl(513</dev/vfio/0>, VFIO_GROUP_SET_CONTAINER, [512</dev/vfio/vfio>]) = 0\n", trace, StringComparison.Ordinal);
        Assert.Contains("ioctl(512</dev/vfio/vfio>, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) = 0\n", trace, StringComparison.Ordinal);
        Assert.Matches(
            @"VFIO_IOMMU_MAP_DMA, \{argsz=32, flags=VFIO_DMA_MAP_FLAG_READ\|VFIO_DMA_MAP_FLAG_WRITE, vaddr=0x[0-9a-f]+, iova=0, size=0x100000\}\) = 0\n", trace);
        Assert.Matches(@"VFIO_DEVICE_GET_REGION_INFO, \{argsz=32, flags=\S+, index=VFIO_PCI_CONFIG_REGION_INDEX, cap_offset=0, size=0x100, offset=0x70000000000\}\) = 0\n", trace);
        Assert.Matches(@"VFIO_DEVICE_SET_IRQS, \{argsz=24, flags=VFIO_IRQ_SET_DATA_EVENTFD\|VFIO_IRQ_SET_ACTION_TRIGGER, index=VFIO_PCI_MSI_IRQ_INDEX, start=0, count=1, data=\[\d+\]\}\) = 0\n", trace);
        Assert.Matches(@"pread64\(514<anon_inode:\[vfio-device\] 0000:06:0d.0>, \[0x[0-9a-f]+\], 2, config\+0x4\) = 2\n", trace);
        Assert.Matches(@"load anon_inode:\[vfio-device\] 0000:06:0d.0 bar0\+0x0 = 0x010000ed\n", trace);
        Assert.Matches(@"store anon_inode:\[vfio-device\] 0000:06:0d.0 bar0\+0x4 <- 0x12345678\n", trace);
        Assert.Contains("close(512</dev/vfio/vfio>) = 0\n", trace, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Iommufd_calls_are_told_too()
    {
        string trace = await TraceAsync("cdev");
        Assert.Contains("VFIO_DEVICE_BIND_IOMMUFD, {argsz=24, flags=0, iommufd=513, out_devid=1, token_uuid_ptr=0}) = 0\n", trace, StringComparison.Ordinal);
        Assert.Matches(@"IOMMU_IOAS_MAP, \{size=40, flags=IOMMU_IOAS_MAP_FIXED_IOVA\|IOMMU_IOAS_MAP_WRITEABLE\|IOMMU_IOAS_MAP_READABLE, ioas_id=2, .*\}\) = 0\n", trace);
        Assert.Matches("= -1 EINVAL \\(the device is not bound to an iommufd: VFIO_DEVICE_BIND_IOMMUFD comes before everything else", trace);
    }

    [Theory]
    [InlineData("VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) = -1 EINVAL (no group is in the container: VFIO_GROUP_SET_CONTAINER comes before VFIO_SET_IOMMU)")]
    [InlineData("VFIO_GROUP_GET_DEVICE_FD, \"0000:06:0d.0\") = -1 EINVAL (the group is in no container that has an IOMMU")]
    [InlineData("VFIO_GROUP_GET_DEVICE_FD, \"0000:00:00.0\") = -1 ENODEV (the group has no device of this name: it has 0000:06:0d.0)")]
    [InlineData("VFIO_GROUP_SET_CONTAINER, 0x0) = -1 EFAULT (the address 0x0 of the argument can't be read)")]
    [InlineData("= -1 EINVAL (0x3b00 is no command of VFIO or iommufd)")]
    public async Task Wrong_calls_are_explained(string line) => Assert.Contains(line, await s_misuse.Value, StringComparison.Ordinal);

    private static async Task<string> TraceAsync(string program)
    {
        RunResult result = await SupervisedRun.RunWithAsync(["--trace", "--device", "edu@06:0d.0"], [TestPrograms.Get(program)]);
        Assert.True(result.Status == 0, $"{result.Status} {result.Output} {result.Error}");
        return result.Error;
    }
}
