using Vfio.Abi;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private const uint MaximumEvents = 1 << 19;

    /// <summary>Cuts a virtual IOMMU out of the one in front of a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="parentId">The page table that translates what the virtual machine's own page tables yield.</param>
    /// <param name="type">The kind; not 0.</param>
    /// <param name="data">Data in the hardware's own format.</param>
    /// <param name="viommu">The virtual IOMMU.</param>
    /// <returns><see cref="Errno.EOPNOTSUPP"/> for a kind that the hardware lacks; <see cref="Errno.ENOENT"/>; <see cref="Errno.EINVAL"/> for a page table that can't be a parent.</returns>
    /// <remarks>IOMMU_VIOMMU_ALLOC; spec iommufd §2.19.</remarks>
    public Errno CreateVirtualIommu(IommufdDevice device, uint parentId, uint type, UserData data, out VirtualIommu? viommu)
    {
        viommu = null;
        if (!device.Hardware.SupportsVirtualIommu(type))
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = TryGet(parentId, out PagingHardwarePageTable? parent);
        if (error != Errno.None)
        {
            return error;
        }

        VirtualIommu created = new(parent!, type, device.Hardware);
        IVirtualIommuHardware? hardware = null;
        error = parent!.IsNestParent ? device.Hardware.CreateVirtualIommu(type, created, data, out hardware) : Errno.EINVAL;
        if (error != Errno.None)
        {
            Put(parent);
            return error;
        }

        created.Start(hardware!);
        error = Publish(created);
        if (error != Errno.None)
        {
            created.Destroyed();
            return error;
        }

        viommu = created;
        return Errno.None;
    }

    /// <summary>Gives a device a number at a virtual IOMMU.</summary>
    /// <param name="viommu">The virtual IOMMU.</param>
    /// <param name="device">The device.</param>
    /// <param name="virtualId">The number.</param>
    /// <param name="created">The device's place.</param>
    /// <returns><see cref="Errno.EINVAL"/> behind another IOMMU; <see cref="Errno.ENOENT"/> while the device is unbound; <see cref="Errno.EEXIST"/>; the hardware's error.</returns>
    /// <remarks>IOMMU_VDEVICE_ALLOC; spec iommufd §2.20.</remarks>
    public Errno CreateVirtualDevice(VirtualIommu viommu, IommufdDevice device, ulong virtualId, out VirtualDevice? created)
    {
        created = null;
        if (!ReferenceEquals(viommu.Platform, device.Hardware))
        {
            return Errno.EINVAL;
        }

        VirtualDevice place = new(viommu, device, virtualId);
        Errno error = device.TrySetVirtual(place);
        if (error != Errno.None)
        {
            return error;
        }

        AddUser(viommu);
        error = viommu.TryAdd(place);
        if (error == Errno.None)
        {
            error = viommu.Hardware.AddDevice(place, out IDisposable? state);
            place.State = state;
        }

        error = error == Errno.None ? Publish(place) : error;
        if (error != Errno.None)
        {
            place.Destroyed();
            return error;
        }

        created = place;
        return Errno.None;
    }

    /// <summary>Makes a queue for a virtual IOMMU's events.</summary>
    /// <param name="viommu">The virtual IOMMU.</param>
    /// <param name="type">The kind of events; not 0.</param>
    /// <param name="depth">How many events wait at most: 1 to 2¹⁹.</param>
    /// <param name="queue">The queue.</param>
    /// <returns><see cref="Errno.EINVAL"/> for a bad depth; <see cref="Errno.EEXIST"/> when the virtual IOMMU has a queue of that kind.</returns>
    /// <remarks>IOMMU_VEVENTQ_ALLOC; spec iommufd §2.21.</remarks>
    public Errno CreateEventQueue(VirtualIommu viommu, uint type, uint depth, out VirtualEventQueue? queue)
    {
        queue = null;
        if (depth is 0 or > MaximumEvents)
        {
            return Errno.EINVAL;
        }

        VirtualEventQueue created = new(viommu, type, depth);
        Errno error = viommu.TryAdd(created);
        if (error != Errno.None)
        {
            return error;
        }

        AddUser(viommu);
        error = Publish(created);
        if (error != Errno.None)
        {
            created.Destroyed();
            return error;
        }

        queue = created;
        return Errno.None;
    }

    /// <summary>Gives a virtual machine a queue of the hardware's.</summary>
    /// <param name="viommu">The virtual IOMMU.</param>
    /// <param name="type">The kind of queue; not 0.</param>
    /// <param name="index">Its number.</param>
    /// <param name="iova">The virtual machine's address of its memory.</param>
    /// <param name="length">Length in bytes; whole pages around it are kept in place.</param>
    /// <param name="queue">The queue. It takes two ids: its own, and one for what keeps its memory.</param>
    /// <returns>
    /// <see cref="Errno.EINVAL"/>; <see cref="Errno.EOVERFLOW"/>; <see cref="Errno.ERANGE"/>; <see cref="Errno.EOPNOTSUPP"/> for a kind that
    /// the hardware lacks; <see cref="Errno.ENOENT"/> and <see cref="Errno.EPERM"/> for memory that is not mapped or not readable;
    /// <see cref="Errno.EFAULT"/> for memory in several pieces; the hardware's error.
    /// </returns>
    /// <remarks>IOMMU_HW_QUEUE_ALLOC; spec iommufd §2.22.</remarks>
    public Errno CreateHardwareQueue(VirtualIommu viommu, uint type, uint index, ulong iova, ulong length, out HardwareQueue? queue)
    {
        queue = null;
        if (!viommu.Hardware.HasQueue(type))
        {
            return Errno.EOPNOTSUPP;
        }

        ulong start = iova & ~(PageSize - 1);
        if (!IovaRange.TryCreate(iova, length, out IovaRange wanted)
            || wanted.Last > ulong.MaxValue - PageSize
            || !IovaRange.TryCreateInclusive(start, wanted.Last | (PageSize - 1), out IovaRange range))
        {
            return Errno.ERANGE;
        }

        // The queue's id comes first, then that of the access that keeps its memory.
        Placeholder reserved = new(this);
        Errno error = Publish(reserved);
        if (error != Errno.None)
        {
            return error;
        }

        error = CreateInternalAccess(out IommufdAccess? access);
        if (error == Errno.None)
        {
            error = Keep(viommu, range, access!, out DmaPinSegment[] memory);
            if (error == Errno.None)
            {
                HardwareQueue created = new(viommu, type, index, range, access!, memory);
                AddUser(viommu);
                error = viommu.Hardware.AddQueue(created, out IDisposable? state);
                created.State = state;
                if (error == Errno.None)
                {
                    Swap(reserved, created);
                    queue = created;
                    return Errno.None;
                }

                created.Destroyed();
            }
            else
            {
                access!.Destroy();
            }
        }

        Abort(reserved);
        return error;
    }

    /// <summary>Pins a queue's memory, so that nobody can unmap it.</summary>
    private static Errno Keep(VirtualIommu viommu, IovaRange range, IommufdAccess access, out DmaPinSegment[] memory)
    {
        IovaMap map = viommu.Parent.Ioas.Map;
        memory = [];
        Errno error = access.AttachOrReplace(viommu.Parent.Ioas.Id);
        if (error != Errno.None)
        {
            return error;
        }

        error = map.Pin(range, DmaAccess.Read, locks: true, byPointer: false, out memory);
        if (error == Errno.None && !IsContiguous(memory))
        {
            map.Unpin(memory, locks: true);
            error = Errno.EFAULT;
        }

        return error;
    }

    /// <summary>Whether pieces of memory follow each other where their owner has them.</summary>
    private static bool IsContiguous(DmaPinSegment[] memory)
    {
        for (int i = 1; i < memory.Length; i++)
        {
            DmaPinSegment before = memory[i - 1];
            MemorySource source = before.Area.Source;
            if (!ReferenceEquals(source, memory[i].Area.Source) || before.Offset + before.Length != memory[i].Offset)
            {
                return false;
            }
        }

        return true;
    }

    private void Swap(Placeholder reserved, IommufdObject value)
    {
        lock (_lock)
        {
            value.Id = reserved.Id;
            _objects[value.Id] = value;
        }
    }

    /// <summary>Holds an id until its object is complete; nobody finds it.</summary>
    private sealed class Placeholder : IommufdObject
    {
        public Placeholder(IommufdContext context)
            : base(context)
        {
            IsLeaving = true;
        }

        internal override void Destroyed()
        {
        }
    }
}
