using Vfio.Drivers.Edu;
using Vfio.Kernel;

namespace Vfio.Guest;

/// <summary>Two functions of one IOMMU group, an edu each, used at once.</summary>
public sealed class SharedGroupTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public void Functions_are_of_one_group()
    {
        PciSysfs sysfs = new(KernelFiles.Running);
        Assert.Equal(2, sysfs.GetGroupMembers(sysfs.Find(GuestDevice.Function)!.Group!.Value).Count);
    }

    [Fact]
    public async Task Second_function_alone_is_refused()
    {
        await using VfioConnection first = await GuestDevice.ConnectAsync();
        Assert.Throws<VfioException>(() => KernelConnection.Open(Second, new KernelOptions { Path = ((KernelConnection)first).Path }));
    }

    [Fact]
    public async Task Functions_that_share_reach_each_others_memory_until_its_owner_goes()
    {
        KernelConnection connection = (KernelConnection)await GuestDevice.ConnectAsync();
        EduDriver first = EduDriver.Open(connection);
        await using EduDriver second = EduDriver.Open(KernelConnection.Open(Second, new KernelOptions { ShareWith = connection }));
        DmaBuffer ofFirst = first.AllocateDma(4096);
        using DmaBuffer ofSecond = second.AllocateDma(4096);
        Assert.NotEqual(ofFirst.Iova, ofSecond.Iova);
        Random.Shared.NextBytes(ofFirst.Span);
        await second.CopyToDeviceAsync(ofFirst, 4096, Stop);
        await second.CopyFromDeviceAsync(ofSecond, 4096, Stop);
        Assert.True(ofFirst.Span.SequenceEqual(ofSecond.Span));
        await first.CopyToDeviceAsync(ofSecond, 4096, Stop);

        // The one goes; the other goes on, and does not reach what the first one had mapped.
        using DmaMemory memory = DmaMemory.Allocate(4096);
        ulong left = first.MapPage(memory, 0).Iova;
        await first.DisposeAsync();
        ofFirst.Dispose();
        ofSecond.Span.Fill(0x77);
        await second.CopyToDeviceAsync(ofSecond, 4096, Stop);
        await second.CopyFromDeviceAsync(left, 4096, Stop);
        Assert.Equal(-1, memory.Span.IndexOfAnyExcept((byte)0));
        Assert.Equal(24u, await second.ComputeFactorialAsync(4, Stop));
    }

    private static string Second => (GuestDevice.Function with { Function = 1 }).ToString();
}
