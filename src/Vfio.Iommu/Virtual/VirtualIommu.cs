using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>A part of the platform's IOMMU that a virtual machine has to itself (iommufd's <c>iommufd_viommu</c>).</summary>
/// <remarks>Spec iommufd §1.10, §2.19. Its lock is a leaf but for the queues' own.</remarks>
public sealed class VirtualIommu : IommufdObject
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, VirtualDevice> _devices = [];
    private readonly List<VirtualEventQueue> _queues = [];
    private IVirtualIommuHardware? _hardware;

    internal VirtualIommu(PagingHardwarePageTable parent, uint type, IIommuHardware platform)
        : base(parent.Context)
    {
        Parent = parent;
        Type = type;
        Platform = platform;
    }

    /// <summary>The page table that translates what the virtual machine's own page tables yield. The virtual IOMMU keeps it.</summary>
    public PagingHardwarePageTable Parent { get; }

    /// <summary>Its kind.</summary>
    public uint Type { get; }

    /// <summary>The IOMMU that it is a part of.</summary>
    public IIommuHardware Platform { get; }

    /// <summary>What drives it.</summary>
    internal IVirtualIommuHardware Hardware => _hardware!;

    /// <summary>Tells the virtual machine of something.</summary>
    /// <param name="type">The kind of event: it goes to the queue of that kind.</param>
    /// <param name="data">The event in the hardware's own format.</param>
    /// <returns><see cref="Errno.None"/>, also when the queue is full and notes a loss; <see cref="Errno.EOPNOTSUPP"/> without such a queue.</returns>
    /// <remarks><c>iommufd_viommu_report_event</c>. Bounded memory; may be called from any thread.</remarks>
    public Errno ReportEvent(uint type, ReadOnlySpan<byte> data)
    {
        VirtualEventQueue? queue;
        lock (_lock)
        {
            queue = _queues.Find(candidate => candidate.Type == type);
            queue?.Add(data);
        }

        queue?.Notify();
        return queue is null ? Errno.EOPNOTSUPP : Errno.None;
    }

    /// <summary>The device with a virtual id.</summary>
    /// <param name="virtualId">The virtual machine's number for it.</param>
    /// <returns>The device, or null.</returns>
    /// <remarks><c>iommufd_viommu_find_dev</c>.</remarks>
    public IIommuDevice? FindDevice(ulong virtualId)
    {
        lock (_lock)
        {
            return _devices.GetValueOrDefault(virtualId)?.Device.Device;
        }
    }

    /// <summary>The virtual machine's number for a device.</summary>
    /// <param name="group">The device's group.</param>
    /// <param name="virtualId">The number.</param>
    /// <returns>False when no device of the group has one.</returns>
    /// <remarks><c>iommufd_viommu_get_vdev_id</c>.</remarks>
    public bool TryGetVirtualId(IommuGroup group, out ulong virtualId)
    {
        lock (_lock)
        {
            foreach ((ulong id, VirtualDevice device) in _devices)
            {
                if (ReferenceEquals(device.Device.Device.IommuGroup, group))
                {
                    virtualId = id;
                    return true;
                }
            }
        }

        virtualId = 0;
        return false;
    }

    /// <summary>Offers memory of the hardware's to whoever maps the context's file.</summary>
    /// <param name="memory">The memory, owned by the hardware.</param>
    /// <param name="length">Its length in bytes, a multiple of the page.</param>
    /// <returns>What withdraws the offer; its position in the file is <see cref="MappableOffer.Position"/>.</returns>
    /// <remarks><c>iommufd_viommu_alloc_mmap</c>; spec iommufd §1.11. Mappings that are there keep the virtual IOMMU.</remarks>
    public MappableOffer OfferMemory(FileDescriptor memory, ulong length) => Context.Offer(this, memory, length);

    internal void Start(IVirtualIommuHardware hardware) => _hardware = hardware;

    internal Errno TryAdd(VirtualDevice device)
    {
        lock (_lock)
        {
            return _devices.TryAdd(device.VirtualId, device) ? Errno.None : Errno.EEXIST;
        }
    }

    internal void Remove(VirtualDevice device)
    {
        lock (_lock)
        {
            if (_devices.TryGetValue(device.VirtualId, out VirtualDevice? found) && ReferenceEquals(found, device))
            {
                _devices.Remove(device.VirtualId);
            }
        }
    }

    internal Errno TryAdd(VirtualEventQueue queue)
    {
        lock (_lock)
        {
            if (_queues.Exists(other => other.Type == queue.Type))
            {
                return Errno.EEXIST;
            }

            _queues.Add(queue);
            return Errno.None;
        }
    }

    internal void Remove(VirtualEventQueue queue)
    {
        lock (_lock)
        {
            _queues.Remove(queue);
        }
    }

    internal override void Destroyed()
    {
        _hardware?.Dispose();
        Context.Put(Parent);
    }
}
