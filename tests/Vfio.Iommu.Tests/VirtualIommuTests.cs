using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>Invalidation, virtual IOMMUs, their devices, events and queues (spec iommufd §2.16, §2.19–§2.22, §8.9, §8.11).</summary>
public sealed class VirtualIommuTests : IClassFixture<DescriptorLeakFixture>
{
    private const uint NestParent = IommufdUapi.IOMMU_HWPT_ALLOC_NEST_PARENT;

    [Fact]
    public void Case195_196_197_198_invalidation_tells_how_far_it_came()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint parent, NestParent));
        Assert.Equal(Errno.None, c.PageTable(device.Id, parent, out uint nested, type: NestedType, data: 9));
        uint[] iotlb = ((MockNestedDomain)c.Get<NestedHardwarePageTable>(nested).Domain).Iotlb;
        Assert.Equal([9u, 9, 9, 9], iotlb);
        Assert.Equal((Errno.EINVAL, 0u), Invalidate(c, parent, [(0, 1)]));
        Assert.Equal((Errno.EINVAL, 0u), Invalidate(c, nested, [(0, 1)], count: (1u << 19) + 1));
        Assert.Equal((Errno.EINVAL, 0u), Invalidate(c, nested, [(0, 1)], entryLength: (uint)P + 1));
        Assert.Equal((Errno.EINVAL, 0u), Invalidate(c, nested, [(0, 1)], entryLength: 0));
        Assert.Equal((Errno.EINVAL, 0u), Invalidate(c, nested, [(0, 1)], address: 0));
        Assert.Equal((Errno.EOPNOTSUPP, 0u), Invalidate(c, nested, [(0, 1)], reserved: 1));
        Assert.Equal((Errno.ENOENT, 0u), Invalidate(c, 77, [(0, 1)]));
        Assert.Equal((Errno.EINVAL, 1u), Invalidate(c, nested, [(0, 1), (0, 4)]));
        Assert.Equal([9u, 0, 9, 9], iotlb);
        Assert.Equal((Errno.EOPNOTSUPP, 0u), Invalidate(c, nested, [(2, 1)]));
        Assert.Equal((Errno.None, 0u), Invalidate(c, nested, []));
        Assert.Equal((Errno.EINVAL, 0u), Invalidate(c, nested, [], type: 5));
        Assert.Equal((Errno.None, 1u), Invalidate(c, nested, [(1, 0)]));
        Assert.Equal([0u, 0, 0, 0], iotlb);
    }

    [Fact]
    public void Virtual_iommus_are_checked_in_order()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint plain));
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint parent, NestParent));
        Assert.Equal(Errno.EOPNOTSUPP, Viommu(c, device.Id, parent, out _, type: 0));
        Assert.Equal(Errno.EOPNOTSUPP, Viommu(c, device.Id, parent, out _, flags: 1));
        Assert.Equal(Errno.ENOENT, Viommu(c, 99, parent, out _));
        Assert.Equal(Errno.EOPNOTSUPP, Viommu(c, device.Id, parent, out _, type: 5));
        Assert.Equal(Errno.ENOENT, Viommu(c, device.Id, 99, out _));
        Assert.Equal(Errno.EINVAL, Viommu(c, device.Id, plain, out _));
        Assert.Equal(Errno.None, Viommu(c, device.Id, parent, out uint viommu));
        Assert.Equal(Errno.EBUSY, c.Destroy(parent));
        Assert.Equal(Errno.None, c.Destroy(viommu));
        Assert.Equal(Errno.None, c.Destroy(parent));
    }

    [Fact]
    public void Case199_200_a_device_has_one_place_and_takes_its_id_along()
    {
        using IommufdCaller c = new();
        IommufdDevice device = WithViommu(c, out uint viommu, out uint parent);
        IommufdDevice other = c.Bind((MockIommu)device.Hardware);
        IommufdDevice foreign = c.Bind();
        Assert.Equal(Errno.ENOENT, Vdevice(c, parent, device.Id, 0x99, out _));
        Assert.Equal(Errno.ENOENT, Vdevice(c, viommu, 99, 0x99, out _));
        Assert.Equal(Errno.EINVAL, Vdevice(c, viommu, foreign.Id, 0x99, out _));
        Assert.Equal(Errno.None, Vdevice(c, viommu, device.Id, 0x99, out uint place));
        Assert.Equal(Errno.EEXIST, Vdevice(c, viommu, device.Id, 0x88, out _));
        Assert.Equal(Errno.EEXIST, Vdevice(c, viommu, other.Id, 0x99, out _));
        Assert.Equal(Errno.None, Vdevice(c, viommu, other.Id, 0x88, out uint second));
        Assert.Equal(Errno.EBUSY, c.Destroy(viommu));
        Assert.Equal(Errno.None, c.Destroy(second));
        device.Unbind();
        Assert.Equal(Errno.ENOENT, c.Destroy(place));
        HashSet<uint> later = [.. Enumerable.Range(0, 20).Select(_ => c.Alloc())];
        Assert.DoesNotContain(place, later);
        Assert.Contains(device.Id, later);
        Assert.Equal(Errno.None, c.Destroy(viommu));
        ulong mode = 1;
        Assert.Equal(Errno.EBUSY, c.Option(IommufdUapi.IOMMU_OPTION_RLIMIT_MODE, IommufdUapi.IOMMU_OPTION_OP_SET, 0, ref mode));
    }

    [Fact]
    public void A_nested_page_table_of_a_virtual_iommu_needs_a_place_for_its_device()
    {
        using IommufdCaller c = new();
        IommufdDevice device = WithViommu(c, out uint viommu, out _);
        Assert.Equal(Errno.EINVAL, c.PageTable(c.Bind().Id, viommu, out _, type: NestedType, data: 3));
        Assert.Equal(Errno.EOPNOTSUPP, c.PageTable(device.Id, viommu, out _, IommufdUapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING, NestedType, 3));
        Assert.Equal(Errno.None, c.PageTable(device.Id, viommu, out uint nested, type: NestedType, data: 3));
        uint target = nested;
        Assert.Equal(Errno.ENOENT, device.Attach(ref target));
        Assert.Equal(Errno.None, Vdevice(c, viommu, device.Id, 0x99, out uint place));
        Assert.Equal(Errno.None, device.Attach(ref target));
        Assert.Equal(Errno.EBUSY, c.Destroy(viommu));
        device.Detach();
        Assert.Equal(Errno.None, c.Destroy(nested));
        Assert.Equal(Errno.None, c.Destroy(place));
        Assert.Equal(Errno.None, c.Destroy(viommu));
    }

    [Fact]
    public void A_virtual_iommu_invalidates_by_virtual_device()
    {
        using IommufdCaller c = new();
        IommufdDevice device = WithViommu(c, out uint viommu, out _);
        uint[] cache = ((MockDevice)device.Device).Cache;
        Assert.Equal((Errno.EINVAL, 0u), Caches(c, viommu, [(0, 0x99, 0)]));
        Assert.Equal(Errno.None, Vdevice(c, viommu, device.Id, 0x99, out _));
        Assert.Equal((Errno.EINVAL, 1u), Caches(c, viommu, [(0, 0x99, 1), (0, 0x98, 0)]));
        Assert.Equal([0xbaddadu, 0, 0xbaddad, 0xbaddad], cache);
        Assert.Equal((Errno.None, 1u), Caches(c, viommu, [(1, 0x99, 0)]));
        Assert.Equal([0u, 0, 0, 0], cache);
    }

    [Fact]
    public void Case201_202_203_events_wait_in_a_queue_that_tells_of_losses()
    {
        using IommufdCaller c = new();
        IommufdDevice device = WithViommu(c, out uint viommu, out _);
        VirtualIommu iommu = c.Get<VirtualIommu>(viommu);
        Assert.Equal(Errno.EOPNOTSUPP, iommu.ReportEvent(EventType, [1, 0, 0, 0]));
        Assert.Equal(Errno.EINVAL, Events(c, viommu, 0, out _));
        Assert.Equal(Errno.EINVAL, Events(c, viommu, (1 << 19) + 1, out _));
        Assert.Equal(Errno.EOPNOTSUPP, Events(c, viommu, 2, out _, type: 0));
        Assert.Equal(Errno.ENOENT, Events(c, device.Id, 2, out _));
        Assert.Equal(Errno.None, Events(c, viommu, 2, out iommu_veventq_alloc queue));
        Assert.Equal(Errno.EEXIST, Events(c, viommu, 2, out _));
        VfioFile file = (VfioFile)c.Files.Files[(int)queue.out_veventq_fd];
        Assert.Equal(Errno.EINVAL, file.Read(new byte[7], 0).Error);
        Assert.Equal(0, file.Read(new byte[16], 0).Value);
        Assert.Equal(Errno.ESPIPE, file.Read(new byte[16], 8).Error);
        Assert.Equal(EventLoopEvents.None, file.Readiness);
        for (byte i = 0; i < 3; i++)
        {
            Assert.Equal(Errno.None, iommu.ReportEvent(EventType, [i, 0, 0, 0]));
        }

        Assert.Equal(EventLoopEvents.Read, file.Readiness);
        Assert.Equal(Errno.EINVAL, file.Read(new byte[8], 0).Error);
        byte[] buffer = new byte[100];
        Assert.Equal(32, file.Read(buffer, 0).Value);
        Assert.Equal([0u, 0, 0, 0, 1, 1, 1, 2], MemoryMarshal.Cast<byte, uint>(buffer.AsSpan(0, 32)).ToArray());
        Assert.Equal(Errno.None, iommu.ReportEvent(EventType, [9, 0, 0, 0]));
        Assert.Equal(12, file.Read(buffer, 0).Value);
        Assert.Equal([0u, 3, 9], MemoryMarshal.Cast<byte, uint>(buffer.AsSpan(0, 12)).ToArray());

        // A note of a loss gives way to the next event that fits.
        for (byte i = 0; i < 4; i++)
        {
            Assert.Equal(Errno.None, iommu.ReportEvent(EventType, [i, 0, 0, 0]));
        }

        Assert.Equal(12, file.Read(new byte[12], 0).Value);
        Assert.Equal(Errno.None, iommu.ReportEvent(EventType, [8, 0, 0, 0]));
        Assert.Equal(24, file.Read(buffer, 0).Value);
        Assert.Equal([0u, 5, 1, 0, 8, 8], MemoryMarshal.Cast<byte, uint>(buffer.AsSpan(0, 24)).ToArray());
        Assert.Equal(Errno.EBUSY, c.Destroy(queue.out_veventq_id));
        file.Dispose();
        Assert.Equal(Errno.None, c.Destroy(queue.out_veventq_id));
        c.Files.Files.Clear();
    }

    [Fact]
    public void Case175_a_hardware_queue_locks_its_memory()
    {
        using IommufdCaller c = new();
        _ = WithViommu(c, out uint viommu, out uint parent);
        uint ioas = c.Get<PagingHardwarePageTable>(parent).Ioas.Id;
        int calls = 0;
        Assert.Equal(Errno.None, c.Context.CreateAccess((_, _) => calls++, out IommufdAccess? access));
        Assert.Equal(Errno.None, access!.AttachOrReplace(ioas));
        Assert.Equal(Errno.None, c.Map(ioas, Base, 4 * P));
        Assert.Equal(Errno.None, Queue(c, viommu, Base + 100, P, out uint queue));
        Assert.Equal(Errno.EBUSY, c.Unmap(ioas, Base, 4 * P));
        Assert.Equal(0, calls);
        Assert.Equal(Errno.None, c.Destroy(queue));
        Assert.Equal(Errno.None, c.Unmap(ioas, Base, 4 * P));
        access.Destroy();
    }

    [Fact]
    public void Hardware_queues_are_checked_in_order_and_depend_on_each_other()
    {
        using IommufdCaller c = new();
        _ = WithViommu(c, out uint viommu, out uint parent);
        uint ioas = c.Get<PagingHardwarePageTable>(parent).Ioas.Id;
        Assert.Equal(Errno.None, c.Map(ioas, Base, 2 * P));
        Assert.Equal(Errno.None, c.Map(ioas, Base + (2 * P), P));
        Assert.Equal(Errno.None, c.Map(ioas, Base + (8 * P), P, Fixed | Writeable));
        int before = c.Context.ObjectCount;
        Assert.Equal(Errno.EOPNOTSUPP, Queue(c, viommu, Base, P, out _, type: 0));
        Assert.Equal(Errno.EINVAL, Queue(c, viommu, Base, 0, out _));
        Assert.Equal(Errno.EOVERFLOW, Queue(c, viommu, Max, P, out _));
        Assert.Equal(Errno.ENOENT, Queue(c, 99, Base, P, out _));
        Assert.Equal(Errno.EOPNOTSUPP, Queue(c, viommu, Base, P, out _, type: 6));
        Assert.Equal(Errno.ENOENT, Queue(c, viommu, Base + (20 * P), P, out _));
        Assert.Equal(Errno.EPERM, Queue(c, viommu, Base + (8 * P), P, out _));
        Assert.Equal(Errno.EFAULT, Queue(c, viommu, Base + P, 2 * P, out _)); // Two maps: two pieces.
        Assert.Equal(Errno.EIO, Queue(c, viommu, Base, P, out _, index: 1));
        Assert.Equal(Errno.EINVAL, Queue(c, viommu, Base, P, out _, index: 2));
        Assert.Equal(before, c.Context.ObjectCount);
        Assert.Equal(Errno.None, Queue(c, viommu, Base, P, out uint first));
        Assert.Equal(before + 2, c.Context.ObjectCount); // The queue, and what keeps its memory.
        Assert.Equal(Errno.EEXIST, Queue(c, viommu, Base, P, out _));
        Assert.Equal(Errno.None, Queue(c, viommu, Base, 2 * P, out uint second, index: 1));
        Assert.Equal(Errno.EBUSY, c.Destroy(first));
        Assert.Equal(Errno.EBUSY, c.Destroy(first + 1));
        Assert.Equal(Errno.EBUSY, c.Destroy(viommu));
        Assert.Equal(Errno.None, c.Destroy(second));
        Assert.Equal(Errno.None, c.Destroy(first));
        Assert.Equal(before, c.Context.ObjectCount);
    }

    [Fact]
    public void Memory_of_a_virtual_iommu_is_mapped_exactly_and_keeps_it()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint parent, NestParent));
        MemoryMarshal.Write(c.Memory.Bytes.AsSpan(256), new MockViommu.Data { In = 0x1234 });
        Assert.Equal(Errno.None, Viommu(c, device.Id, parent, out uint viommu, length: 24));
        MockViommu.Data data = MemoryMarshal.Read<MockViommu.Data>(c.Memory.Bytes.AsSpan(256));
        Assert.Equal((0x1234u, 2 * P, true), (data.Out, data.MapLength, data.MapOffset >= P));
        Assert.Equal(Errno.EINVAL, c.Context.Map(new MapRequest(data.MapOffset, 100, MemoryProtection.Read), out _));
        Assert.Equal(Errno.EINVAL, c.Context.Map(new MapRequest(data.MapOffset, data.MapLength, MemoryProtection.Read, Shared: false), out _));
        Assert.Equal(Errno.EPERM, c.Context.Map(new MapRequest(data.MapOffset, data.MapLength, MemoryProtection.Execute), out _));
        Assert.Equal(Errno.ENXIO, c.Context.Map(new MapRequest(0, P, MemoryProtection.Read), out _));
        Assert.Equal(Errno.ENXIO, c.Context.Map(new MapRequest(data.MapOffset, P, MemoryProtection.Read), out _));
        Assert.Equal(Errno.None, c.Context.Map(new MapRequest(data.MapOffset, data.MapLength, MemoryProtection.Read), out MappableMemory memory));
        byte[] word = new byte[4];
        Assert.Equal(4, memory.Descriptor.ReadAt(word, memory.Offset).Count);
        Assert.Equal(0x1234u, BitConverter.ToUInt32(word));
        Assert.Equal(Errno.EBUSY, c.Destroy(viommu));
        memory.Lease!.Dispose();
        memory.Lease.Dispose();
        Assert.Equal(Errno.None, c.Destroy(viommu));
        Assert.Equal(Errno.ENXIO, c.Context.Map(new MapRequest(data.MapOffset, data.MapLength, MemoryProtection.Read), out _));
    }

    private static IommufdDevice WithViommu(IommufdCaller c, out uint viommu, out uint parent)
    {
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, c.Alloc(), out parent, NestParent));
        Assert.Equal(Errno.None, Viommu(c, device.Id, parent, out viommu));
        return device;
    }

    private static Errno Viommu(IommufdCaller c, uint device, uint pageTable, out uint id, uint type = ViommuType, uint flags = 0, uint length = 0)
    {
        iommu_viommu_alloc command = new() { flags = flags, type = type, dev_id = device, hwpt_id = pageTable, data_len = length, data_uptr = ListAddress };
        Errno error = c.Call(IommufdUapi.IOMMU_VIOMMU_ALLOC, ref command);
        id = command.out_viommu_id;
        return error;
    }

    private static Errno Vdevice(IommufdCaller c, uint viommu, uint device, ulong virtualId, out uint id)
    {
        iommu_vdevice_alloc command = new() { viommu_id = viommu, dev_id = device, virt_id = virtualId };
        Errno error = c.Call(IommufdUapi.IOMMU_VDEVICE_ALLOC, ref command);
        id = command.out_vdevice_id;
        return error;
    }

    private static Errno Events(IommufdCaller c, uint viommu, uint depth, out iommu_veventq_alloc command, uint type = EventType)
    {
        command = new() { viommu_id = viommu, type = type, veventq_depth = depth };
        return c.Call(IommufdUapi.IOMMU_VEVENTQ_ALLOC, ref command);
    }

    private static Errno Queue(IommufdCaller c, uint viommu, ulong iova, ulong length, out uint id, uint type = QueueType, uint index = 0)
    {
        iommu_hw_queue_alloc command = new() { viommu_id = viommu, type = type, index = index, nesting_parent_iova = iova, length = length };
        Errno error = c.Call(IommufdUapi.IOMMU_HW_QUEUE_ALLOC, ref command);
        id = command.out_hw_queue_id;
        return error;
    }

    private static (Errno Error, uint Done) Invalidate(IommufdCaller c, uint id, (uint Flags, uint Index)[] entries, uint type = InvalidateType, uint? entryLength = null, uint? count = null, ulong address = ListAddress, uint reserved = 0)
    {
        for (int i = 0; i < entries.Length; i++)
        {
            MemoryMarshal.Write(c.Memory.Bytes.AsSpan(256 + (i * 8)), new MockNestedDomain.Entry { Flags = entries[i].Flags, Index = entries[i].Index });
        }

        return Invalidate(c, id, type, address, entryLength ?? 8, count ?? (uint)entries.Length, reserved);
    }

    private static (Errno Error, uint Done) Caches(IommufdCaller c, uint id, (uint Flags, uint Device, uint Cache)[] entries)
    {
        for (int i = 0; i < entries.Length; i++)
        {
            (uint flags, uint device, uint cache) = entries[i];
            MemoryMarshal.Write(c.Memory.Bytes.AsSpan(256 + (i * 12)), new MockViommu.Entry { Flags = flags, Device = device, Cache = cache });
        }

        return Invalidate(c, id, InvalidateType, ListAddress, 12, (uint)entries.Length, 0);
    }

    private static (Errno Error, uint Done) Invalidate(IommufdCaller c, uint id, uint type, ulong address, uint entryLength, uint count, uint reserved)
    {
        iommu_hwpt_invalidate command = new()
        {
            hwpt_id = id,
            data_uptr = address,
            data_type = type,
            entry_len = entryLength,
            entry_num = count,
            __reserved = reserved,
        };
        Errno error = c.Call(IommufdUapi.IOMMU_HWPT_INVALIDATE, ref command);
        return (error, command.entry_num);
    }
}
