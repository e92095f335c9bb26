using Vfio.Abi;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>Binding, attaching and replacing (spec iommufd §4.1–§4.3, §8.1, §8.7).</summary>
public sealed class DeviceTests
{
    private const uint Pasid = 100;
    private const uint PasidFlag = IommufdUapi.IOMMU_HWPT_ALLOC_PASID;

    [Fact]
    public void Case019_021_attached_address_spaces_and_bound_devices_stay()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        Assert.Equal(Errno.EBUSY, c.Destroy(ioas));
        Assert.Equal(Errno.EBUSY, c.Destroy(device.Id));
        device.Detach();
        Assert.Equal(Errno.EBUSY, c.Destroy(device.Id));
        Assert.Equal(Errno.None, c.Destroy(ioas));
        device.Unbind();
        Assert.Equal(Errno.ENOENT, c.Destroy(device.Id));
    }

    [Fact]
    public void Bind_is_checked_in_order()
    {
        using IommufdCaller c = new();
        MockIommu unsafeHardware = new() { HasIsolatedMsi = false };
        Assert.Equal(Errno.EINVAL, c.Context.BindDevice(new MockDevice(null) { IsCacheCoherent = false }, false, out _));
        Assert.Equal(Errno.ENODEV, c.Context.BindDevice(new MockDevice(null), false, out _));
        IommuGroup group = new(1, null, unsafeHardware);
        Assert.Equal(Errno.EPERM, c.Context.BindDevice(new MockDevice(group), false, out _));
        Assert.Equal(Errno.None, c.Context.BindDevice(new MockDevice(group), true, out IommufdDevice? bound));
        Assert.True(c.Context.HasGroup(group));
        using IommufdContext other = new();
        Assert.Equal(Errno.EPERM, other.BindDevice(new MockDevice(group), true, out _));
        bound!.Unbind();
        Assert.False(c.Context.HasGroup(group));
        Assert.False(group.IsDmaOwned);

        // A domain that nobody answers for: a driver of the host uses the group.
        Assert.Equal(Errno.None, unsafeHardware.CreateDomain(DomainOptions.None, default, out IPagingDomain? domain));
        Assert.Equal(Errno.None, group.Attach(domain!));
        Assert.Equal(Errno.EBUSY, c.Context.BindDevice(new MockDevice(group), true, out _));
        group.Detach();
        domain!.Dispose();
        Assert.Equal(0, c.Context.ObjectCount);
    }

    [Fact]
    public void Case117_118_devices_share_the_automatic_page_table_and_it_goes_with_the_last()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice first = c.Bind();
        IommufdDevice second = c.Bind();
        uint a = ioas;
        uint b = ioas;
        Assert.Equal(Errno.None, first.Attach(ref a));
        Assert.Equal(Errno.None, second.Attach(ref b));
        Assert.Equal((a, true), (b, a != ioas));
        MockDomain domain = (MockDomain)c.Get<PagingHardwarePageTable>(a).Domain;
        Assert.Equal(Errno.EBUSY, c.Destroy(a));
        first.Detach();
        Assert.False(domain.IsDisposed);
        second.Detach();
        Assert.True(domain.IsDisposed);
        Assert.Equal(Errno.ENOENT, c.Destroy(a));
        second.Detach();
    }

    [Fact]
    public void Case119_120_121_attach_twice_replace_nothing_and_wrong_ids()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        uint target = ioas;
        Assert.Equal(Errno.EINVAL, device.Replace(ref target));
        Assert.Equal(ioas, target);
        iommu_fault_alloc faults = default;
        Assert.Equal(Errno.None, c.Call(IommufdUapi.IOMMU_FAULT_QUEUE_ALLOC, ref faults));
        target = faults.out_fault_id;
        Assert.Equal(Errno.EINVAL, device.Attach(ref target));
        target = 99;
        Assert.Equal(Errno.ENOENT, device.Attach(ref target));
        target = ioas;
        Assert.Equal(Errno.None, device.Attach(ref target));
        uint again = ioas;
        Assert.Equal(Errno.EBUSY, device.Attach(ref again));
        Assert.Equal(Errno.EBUSY, device.Attach(ref target));
    }

    [Fact]
    public void Case122_123_areas_that_do_not_suit_the_domain_refuse_the_device()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.Map(ioas, 0, P));
        uint target = ioas;
        Assert.Equal(Errno.EADDRINUSE, device.Attach(ref target));
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, P));
        Assert.Equal(Errno.None, c.Map(ioas, Base, 1));
        Assert.Equal(Errno.EADDRINUSE, device.Attach(ref target));
        Assert.Equal(2, c.Context.ObjectCount);
        Assert.Equal(Errno.None, c.Unmap(ioas, Base, 1));
        Assert.Equal(Errno.None, device.Attach(ref target));
    }

    [Fact]
    public void Case124_125_a_group_moves_together()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommuGroup group = new(1, null, new MockIommu());
        IommufdDevice first = c.Bind(group: group);
        IommufdDevice second = c.Bind(group: group);
        Assert.Equal(Errno.None, c.PageTable(first.Id, ioas, out uint x));
        Assert.Equal(Errno.None, c.PageTable(first.Id, ioas, out uint y));
        uint target = x;
        Assert.Equal(Errno.None, first.Attach(ref target));
        target = y;
        Assert.Equal(Errno.EINVAL, second.Attach(ref target));
        target = x;
        Assert.Equal(Errno.None, second.Attach(ref target));
        target = y;
        Assert.Equal(Errno.None, first.Replace(ref target));
        Assert.Equal(y, second.GetPageTable()!.Id);
        Assert.Equal(Errno.None, c.Destroy(x));
        Assert.Equal(Errno.EBUSY, c.Destroy(y));
        first.Detach();
        Assert.Equal(Errno.EBUSY, c.Destroy(y));
        second.Detach();
        Assert.Equal(Errno.None, c.Destroy(y));
    }

    [Fact]
    public void Case126_replace_frees_the_automatic_page_table_and_the_address_space()
    {
        using IommufdCaller c = new();
        uint first = c.Alloc();
        uint second = c.Alloc();
        IommufdDevice device = c.Bind();
        uint old = first;
        Assert.Equal(Errno.None, device.Attach(ref old));
        Assert.Equal(Errno.None, c.Map(first, Base, P));
        Assert.Equal(Errno.None, c.Map(second, Base, P, va: B + P));
        c.Memory.Buffer[0] = 1;
        c.Memory.Buffer[(int)P] = 2;
        uint target = second;
        Assert.Equal(Errno.None, device.Replace(ref target));
        byte[] read = new byte[1];
        Assert.Equal(Errno.None, device.Read(Base, read));
        Assert.Equal(2, read[0]);
        Assert.Equal(0, c.Memory.Pins[0]);
        Assert.Equal(Errno.ENOENT, c.Destroy(old));
        Assert.Equal(Errno.None, c.Destroy(first));
        uint same = second;
        Assert.Equal(Errno.None, device.Replace(ref same));
        Assert.Equal(target, same);
    }

    [Fact]
    public void A_replace_that_fails_leaves_the_device_where_it_was()
    {
        using IommufdCaller c = new();
        uint first = c.Alloc();
        uint second = c.Alloc();
        MockIommu hardware = new() { ReservedRegions = [new ReservedRegion(Range(Base + (64 * P), Base + (65 * P) - 1))] };
        IommufdDevice device = c.Attach(first, hardware);
        uint held = device.GetPageTable()!.Id;
        Assert.Equal(Errno.None, c.Map(second, Base + (64 * P), P));
        uint target = second;
        Assert.Equal(Errno.EADDRINUSE, device.Replace(ref target));
        Assert.Equal(held, device.GetPageTable()!.Id);
        Assert.Equal(Errno.EINVAL, c.Map(first, Base + (64 * P), P)); // Still reserved where it is.
        Assert.Equal(Errno.None, c.Unmap(second, 0, Max));
        Assert.Equal(Errno.None, c.Map(second, 0, P)); // Outside of the aperture.
        target = second;
        Assert.Equal(Errno.EADDRINUSE, device.Replace(ref target));
        Assert.Equal(held, device.GetPageTable()!.Id);
        Assert.Equal(4, c.Context.ObjectCount);
    }

    [Fact]
    public void Case127_reserved_region_over_an_area_refuses_the_device()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        MockIommu hardware = new()
        {
            ReservedRegions = [new ReservedRegion(Range(Base + (2 * P), Base + (3 * P) - 1)), new ReservedRegion(Range(Base, Base + 10))],
        };
        IommufdDevice device = c.Bind(hardware);
        uint target = ioas;
        Assert.Equal(Errno.EADDRINUSE, device.Attach(ref target));
        Assert.Null(device.GetPageTable());
        Assert.Equal(Errno.None, c.Map(ioas, Base + (2 * P), P)); // Nothing of it was reserved.
        MockIommu relaxed = new() { ReservedRegions = [new ReservedRegion(Range(Base, Base + 10), IsRelaxable: true)] };
        Assert.Equal(Errno.None, c.Bind(relaxed).Attach(ref target));
    }

    [Fact]
    public void Case128_129_130_131_132_134_page_tables_are_checked_in_order()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        uint id = device.Id;
        Assert.Equal(Errno.ENOENT, c.PageTable(ioas, ioas, out _));
        Assert.Equal(Errno.EINVAL, c.PageTable(id, id, out _));
        Assert.Equal(Errno.EINVAL, c.PageTable(id, 999, out _));
        Assert.Equal(Errno.EOPNOTSUPP, c.PageTable(id, ioas, out _, ~1u));
        Assert.Equal(Errno.EOPNOTSUPP, c.PageTable(id, ioas, out _, IommufdUapi.IOMMU_HWPT_ALLOC_NEST_PARENT | IommufdUapi.IOMMU_HWPT_FAULT_ID_VALID));
        Assert.Equal(Errno.EINVAL, c.PageTable(id, ioas, out _, data: 0, length: 8));
        Assert.Equal(Errno.EINVAL, c.PageTable(id, ioas, out _, type: 1, length: 0));
        Assert.Equal(Errno.EOPNOTSUPP, c.PageTable(id, ioas, out _, reserved: 1));
        Assert.Equal(Errno.None, c.PageTable(id, ioas, out uint plain, reserved2: 1));
        Assert.Equal(Errno.EINVAL, c.PageTable(id, plain, out _, type: NestedType, data: 7));
        Assert.Equal(Errno.EBUSY, c.Destroy(ioas));
        Assert.Equal(Errno.None, c.Destroy(plain));
        Assert.Equal(Errno.None, c.Destroy(ioas));
    }

    [Fact]
    public void Hardware_without_options_makes_plain_page_tables_only()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind(new MockIommu { SupportsDomainOptions = false });
        Assert.Equal(Errno.EOPNOTSUPP, c.PageTable(device.Id, ioas, out _, PasidFlag));
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out _));
    }

    [Fact]
    public void Case133_a_page_table_stays_while_a_device_is_attached()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint manual));
        uint target = manual;
        Assert.Equal(Errno.None, device.Attach(ref target));
        Assert.Equal(manual, target);
        Assert.Equal(Errno.EBUSY, c.Destroy(manual));
        target = ioas;
        Assert.Equal(Errno.None, device.Replace(ref target));
        Assert.NotEqual(manual, target); // Manual ones are never chosen.
        Assert.Equal(Errno.None, c.Destroy(manual));
    }

    [Fact]
    public void Case135_a_parent_stays_while_it_has_a_child()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint parent, IommufdUapi.IOMMU_HWPT_ALLOC_NEST_PARENT));
        Assert.Equal(Errno.EOPNOTSUPP, c.PageTable(device.Id, parent, out _));
        Assert.Equal(Errno.EOPNOTSUPP, c.PageTable(device.Id, parent, out _, type: NestedType + 1, data: 7));
        Assert.Equal(Errno.EINVAL, c.PageTable(device.Id, parent, out _, type: NestedType, data: 7, length: 3));
        Assert.Equal(Errno.EINVAL, c.PageTable(device.Id, parent, out _, type: NestedType, data: 7, length: 9));
        Assert.Equal(Errno.None, c.PageTable(device.Id, parent, out uint nested, type: NestedType, data: 7));
        Assert.Equal(Errno.EINVAL, c.PageTable(device.Id, nested, out _, type: NestedType, data: 7));
        Assert.Equal(Errno.EBUSY, c.Destroy(parent));
        uint target = nested;
        Assert.Equal(Errno.None, device.Attach(ref target));
        Assert.Equal(Errno.EFAULT, device.Read(Base, new byte[1])); // Its format is the hardware's own.
        Assert.Equal(Errno.EBUSY, c.Destroy(nested));
        device.Detach();
        Assert.Equal(Errno.None, c.Destroy(nested));
        Assert.Equal(Errno.None, c.Destroy(parent));
    }

    [Fact]
    public void Case136_an_unknown_fault_queue_takes_no_id()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.ENOENT, c.PageTable(device.Id, ioas, out _, IommufdUapi.IOMMU_HWPT_FAULT_ID_VALID, fault: 77));
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint id));
        Assert.Equal(device.Id + 1, id);
    }

    [Fact]
    public void Case137_138_a_pasid_needs_page_tables_made_for_it()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind(pasids: 1 << 20);
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint plain));
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint suited, PasidFlag));
        uint target = plain;
        Assert.Equal(Errno.EINVAL, device.Attach(ref target, Pasid));
        target = ioas;
        Assert.Equal(Errno.EINVAL, device.Attach(ref target, Pasid));
        target = plain;
        Assert.Equal(Errno.None, device.Attach(ref target));
        target = suited;
        Assert.Equal(Errno.EINVAL, device.Attach(ref target, Pasid));
        device.Detach();
        Assert.Equal(Errno.None, device.Attach(ref target, Pasid));
        target = suited;
        Assert.Equal(Errno.EINVAL, device.Attach(ref target, 1 << 20));
        device.Detach(Pasid);
    }

    [Fact]
    public void Case139_140_a_pasid_in_use_keeps_the_rest_suitable()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind(pasids: 1 << 20);
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint plain));
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint suited, PasidFlag));
        uint target = suited;
        device.Detach(Pasid);
        Assert.Equal(Errno.EINVAL, device.Replace(ref target, Pasid));
        Assert.Equal(Errno.None, device.Attach(ref target));
        Assert.Equal(Errno.None, device.Attach(ref target, Pasid));
        Assert.Equal(Errno.EBUSY, device.Attach(ref target, Pasid));
        target = plain;
        Assert.Equal(Errno.EINVAL, device.Replace(ref target));
        Assert.Equal(suited, device.GetPageTable()!.Id);
        device.Detach(Pasid);
        Assert.Equal(Errno.None, device.Replace(ref target));
    }

    [Fact]
    public void A_pasid_replace_that_fails_keeps_the_old_page_table()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind(pasids: 1 << 20);
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint first, PasidFlag));
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint second, PasidFlag));
        uint target = first;
        Assert.Equal(Errno.None, device.Attach(ref target, FailingPasid));
        target = second;
        Assert.Equal(Errno.ENOMEM, device.Replace(ref target, FailingPasid));
        Assert.Equal(first, device.GetPageTable(FailingPasid)!.Id);
        Assert.Equal(Errno.None, device.Replace(ref target, FailingPasid));
        Assert.Equal(Errno.None, c.Destroy(first));
        device.Detach(FailingPasid);
        Assert.Equal(Errno.None, c.Destroy(second));
        IommufdDevice without = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(without.Id, ioas, out uint third, PasidFlag));
        target = third;
        Assert.Equal(Errno.EOPNOTSUPP, without.Attach(ref target, Pasid));
    }

    [Fact]
    public void Case154_an_access_takes_address_spaces_only()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        Assert.Equal(Errno.None, c.Context.CreateAccess(static (_, _) => { }, out IommufdAccess? access));
        Assert.Equal(Errno.ENOENT, access!.AttachOrReplace(device.GetPageTable()!.Id));
        access.Destroy();
    }

    [Fact]
    public void Case161_162_a_page_is_pinned_once_by_all_who_use_it()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        Assert.Equal(Errno.None, c.Context.CreateAccess(static (_, _) => { }, out IommufdAccess? access));
        Assert.Equal(Errno.None, access!.AttachOrReplace(ioas));
        Assert.Equal(Errno.None, access.TryPin(Base, P, DmaAccess.Read, out DmaPin? first));
        Assert.Equal(Errno.None, access.TryPin(Base, P, DmaAccess.Read, out DmaPin? second));
        Assert.Equal(1, c.Memory.Pins[0]);
        first!.Dispose();
        Assert.Equal(1, c.Memory.Pins[0]);
        second!.Dispose();
        Assert.Equal(0, c.Memory.Pins[0]);
        IommufdDevice device = c.Attach(ioas);
        Assert.Equal(Errno.None, access.TryPin(Base, P, DmaAccess.Read, out first));
        Assert.Equal(1, c.Memory.Pins[0]);
        device.Detach();
        Assert.Equal(1, c.Memory.Pins[0]);
        first!.Dispose();
        Assert.Equal(0, c.Memory.Pins[0]);
        access.Destroy();
    }

    [Fact]
    public void Case171_destroying_an_access_asks_for_its_pins_once()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        List<(ulong, ulong)> calls = [];
        DmaPin? pin = null;
        Assert.Equal(Errno.None, c.Context.CreateAccess(
            (iova, length) =>
            {
                calls.Add((iova, length));
                pin!.Dispose();
            },
            out IommufdAccess? access));
        Assert.Equal(Errno.None, access!.AttachOrReplace(ioas));
        Assert.Equal(Errno.None, access.TryPin(Base, P, DmaAccess.Read, out pin));
        access.Destroy();
        Assert.Equal([(0ul, Max)], calls);
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, Max));
        Assert.Single(calls);
    }

    [Fact]
    public void Two_groups_replace_in_both_directions_without_a_deadlock()
    {
        using IommufdCaller c = new();
        uint first = c.Alloc();
        uint second = c.Alloc();
        IommufdDevice a = c.Attach(first);
        IommufdDevice b = c.Attach(second);
        Parallel.Invoke(() => Swap(a, second, first), () => Swap(b, first, second));
        a.Detach();
        b.Detach();
        Assert.Equal(4, c.Context.ObjectCount); // No page table is left.

        static void Swap(IommufdDevice device, uint to, uint back)
        {
            for (int i = 0; i < 500; i++)
            {
                uint target = i % 2 == 0 ? to : back;
                Assert.Equal(Errno.None, device.Replace(ref target));
            }
        }
    }
}
