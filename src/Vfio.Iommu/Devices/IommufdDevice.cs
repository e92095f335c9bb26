using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A device behind the platform's IOMMU that a driver has put under a context's control (iommufd's <c>iommufd_device</c>).</summary>
/// <remarks>
/// Made by <see cref="IommufdContext.BindDevice"/>. It is also the path of the device's own DMA: through the page table that it is
/// attached to, as the hardware's would go.
/// </remarks>
public sealed partial class IommufdDevice : IommufdObject, IDmaPath
{
    private readonly DeviceGroup _group;
    private VirtualDevice? _virtualDevice;

    internal IommufdDevice(IommufdContext context, IIommuDevice device, DeviceGroup group)
        : base(context)
    {
        Device = device;
        _group = group;
        _dma = new GroupDmaPath(group.Group);
    }

    /// <summary>The device.</summary>
    public IIommuDevice Device { get; }

    /// <summary>The IOMMU in front of it.</summary>
    public IIommuHardware Hardware => _group.Group.Hardware;

    /// <summary>The virtual machine's name for it, if it has one. Guarded by the group's lock.</summary>
    internal VirtualDevice? VirtualDevice => _virtualDevice;

    /// <summary>Ends the binding. Every attachment must have been undone.</summary>
    /// <remarks><c>iommufd_device_unbind</c>. A virtual device of it goes first, and its id is never used again.</remarks>
    public void Unbind()
    {
        VirtualDevice? orphan;
        lock (_group.Lock)
        {
            orphan = _virtualDevice;
            _virtualDevice = null;
            IsUnbinding = true;
        }

        if (orphan is not null)
        {
            Context.Bury(orphan);
            orphan.Destroyed();
        }

        Context.DestroyOwned(this);
    }

    /// <summary>Set once the driver lets go: no virtual device can be made for it. Guarded by the group's lock.</summary>
    internal bool IsUnbinding { get; private set; }

    /// <summary>Asks the user, through the queue of the page table that the device is attached to, for pages.</summary>
    /// <param name="faults">What the device asks for; they are answered together. All have one PASID.</param>
    /// <param name="respond">Told the answer, once, on any thread; must not block.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> when nobody handles faults: <paramref name="respond"/> is then not called.</returns>
    /// <remarks><c>iommu_report_device_fault</c>. The queue is as long as the device lets it be: a device bounds what it has under way.</remarks>
    public Errno ReportFaults(ReadOnlySpan<PageFault> faults, Action<PageResponse> respond)
    {
        if (faults.IsEmpty)
        {
            return Errno.EINVAL;
        }

        FaultQueue? queue;
        lock (_group.Lock)
        {
            if (!_group.Attachments.TryGetValue(faults[0].Pasid, out DeviceAttachment? attachment) && Hardware.HasUserPasidTables)
            {
                attachment = _group.Attachments.GetValueOrDefault(0u) is { PageTable: NestedHardwarePageTable } nested ? nested : null;
            }

            queue = attachment?.PageTable.Faults;
            queue?.Add(new FaultGroup(attachment!, Id, faults.ToArray(), respond));
        }

        queue?.Notify();
        return queue is null ? Errno.EINVAL : Errno.None;
    }

    internal override void Destroyed()
    {
        _group.Group.ReleaseDma(Context);
        Context.PutGroup(_group);
    }

    /// <summary>Gives the device a name in a virtual machine.</summary>
    /// <returns><see cref="Errno.ENOENT"/> while it is unbound; <see cref="Errno.EEXIST"/> when it has one.</returns>
    internal Errno TrySetVirtual(VirtualDevice device)
    {
        lock (_group.Lock)
        {
            if (IsUnbinding || _virtualDevice is not null)
            {
                return IsUnbinding ? Errno.ENOENT : Errno.EEXIST;
            }

            _virtualDevice = device;
            return Errno.None;
        }
    }

    internal void ClearVirtual(VirtualDevice device)
    {
        lock (_group.Lock)
        {
            if (ReferenceEquals(_virtualDevice, device))
            {
                _virtualDevice = null;
            }
        }
    }
}
