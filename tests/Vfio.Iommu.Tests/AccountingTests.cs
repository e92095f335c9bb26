using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>Who is charged for memory in place (spec iommufd §3.8, §8.6).</summary>
public sealed class AccountingTests : IClassFixture<DescriptorLeakFixture>
{
    private const CallerCapabilities Ordinary = CallerCapabilities.All & ~CallerCapabilities.IpcLock;

    [Fact]
    public void Case113_114_the_limit_counts_pages_that_are_in_place_once()
    {
        LockedMemoryAccount user = new(4);
        ProcessMemoryAccount process = new(user);
        using IommufdCaller c = new(Ordinary, process);
        uint ioas = c.Alloc();
        _ = c.Attach(ioas);
        Assert.Equal(Errno.ENOMEM, c.Map(ioas, Base, 5 * P));
        Assert.Equal((0, 0L, 0L), (c.Memory.PinCount, user.Pages, process.PinnedPages));
        Assert.Equal(Errno.None, c.Map(ioas, Base, 4 * P));
        Assert.Equal((4L, 4L, 0L), (user.Pages, process.PinnedPages, process.Locked.Pages));
        for (ulong i = 1; i <= 10; i++)
        {
            Assert.Equal(Errno.None, c.Copy(ioas, Base + (i * 16 * P), ioas, Base, 4 * P));
        }

        Assert.Equal(4L, user.Pages);
        Assert.Equal(Errno.ENOMEM, c.Map(ioas, Base + (200 * P), 4 * P));
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, Max));
        Assert.Equal((0L, 0L), (user.Pages, process.PinnedPages));
    }

    [Fact]
    public void Case115_an_exempt_caller_has_no_limit()
    {
        LockedMemoryAccount user = new(4);
        ProcessMemoryAccount process = new(user);
        using IommufdCaller c = new(CallerCapabilities.All, process);
        uint ioas = c.Alloc();
        _ = c.Attach(ioas);
        Assert.Equal(Errno.None, c.Map(ioas, Base, 5 * P));
        Assert.Equal((0L, 5L), (user.Pages, process.PinnedPages));
    }

    [Fact]
    public void Case116_what_was_mapped_before_counts_when_a_device_comes()
    {
        LockedMemoryAccount user = new(4);
        using IommufdCaller c = new(Ordinary, new ProcessMemoryAccount(user));
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, Base, 5 * P));
        Assert.Equal(0L, user.Pages);
        uint target = ioas;
        Assert.Equal(Errno.ENOMEM, c.Bind().Attach(ref target));
        Assert.Equal((0, 0L), (c.Memory.PinCount, user.Pages));
    }

    [Fact]
    public void Process_mode_charges_the_process()
    {
        LockedMemoryAccount user = new(1);
        ProcessMemoryAccount process = new(user, limit: 4);
        using IommufdCaller c = new(Ordinary, process);
        ulong mode = 1;
        Assert.Equal(Errno.None, c.Option(IommufdUapi.IOMMU_OPTION_RLIMIT_MODE, IommufdUapi.IOMMU_OPTION_OP_SET, 0, ref mode));
        uint ioas = c.Alloc();
        _ = c.Attach(ioas);
        Assert.Equal(Errno.None, c.Map(ioas, Base, 4 * P));
        Assert.Equal(Errno.ENOMEM, c.Map(ioas, Base + (8 * P), P, va: B + (8 * P)));
        Assert.Equal((0L, 4L, 4L), (user.Pages, process.Locked.Pages, process.PinnedPages));
    }

    [Fact]
    public void Accesses_and_domains_share_the_charge_of_a_page()
    {
        LockedMemoryAccount user = new(2);
        using IommufdCaller c = new(Ordinary, new ProcessMemoryAccount(user));
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        Assert.Equal(Errno.None, c.Map(ioas, Base, 2 * P));
        Assert.Equal(Errno.None, c.Context.CreateAccess(static (_, _) => { }, out IommufdAccess? access));
        Assert.Equal(Errno.None, access!.AttachOrReplace(ioas));
        Assert.Equal(Errno.None, access.TryPin(Base, P, DmaAccess.Read, out DmaPin? pin));
        Assert.Equal((2L, 1), (user.Pages, c.Memory.Pins[0]));
        device.Detach();
        Assert.Equal((1L, 1, 0), (user.Pages, c.Memory.Pins[0], c.Memory.Pins[1]));
        pin!.Dispose();
        Assert.Equal((0L, 0), (user.Pages, c.Memory.PinCount));
        access.Destroy();
    }

    [Fact]
    public void Change_process_moves_the_charge_of_files_only()
    {
        LockedMemoryAccount parentUser = new();
        LockedMemoryAccount childUser = new(1);
        ProcessMemoryAccount parent = new(parentUser);
        ProcessMemoryAccount child = new(childUser);
        using IommufdCaller c = new(Ordinary, parent);
        uint ioas = c.Alloc();
        _ = c.Attach(ioas);
        using MemFd memory = new("test", 2 * P);
        c.Files.Files[5] = memory.Descriptor;
        Assert.Equal(Errno.None, c.MapFile(ioas, 5, 0, 2 * P, Base));
        Assert.Equal(Errno.None, c.Map(ioas, Base + (8 * P), P));
        c.Identity = new Vfio.Iommu.IommufdCaller(Ordinary, child);
        iommu_ioas_change_process command = new() { __reserved = 1 };
        Assert.Equal(Errno.EOPNOTSUPP, c.Call(IommufdUapi.IOMMU_IOAS_CHANGE_PROCESS, ref command));
        command = default;
        Assert.Equal(Errno.EINVAL, c.Call(IommufdUapi.IOMMU_IOAS_CHANGE_PROCESS, ref command));
        Assert.Equal(Errno.None, c.Unmap(ioas, Base + (8 * P), P));
        Assert.Equal(Errno.ENOMEM, c.Call(IommufdUapi.IOMMU_IOAS_CHANGE_PROCESS, ref command));
        Assert.Equal((2L, 0L), (parentUser.Pages, childUser.Pages));
        ProcessMemoryAccount heir = new(new LockedMemoryAccount(2));
        c.Identity = new Vfio.Iommu.IommufdCaller(Ordinary, heir);
        Assert.Equal(Errno.None, c.Call(IommufdUapi.IOMMU_IOAS_CHANGE_PROCESS, ref command));
        Assert.Equal((0L, 0L, 2L, 2L), (parentUser.Pages, parent.PinnedPages, heir.User.Pages, heir.PinnedPages));
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, Max));
        Assert.Equal((0L, 0L), (heir.User.Pages, heir.PinnedPages));
        c.Files.Files.Clear();
    }
}
