using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>A user's open file on a device (<c>vfio_device_file</c>): what the user side and every server act through.</summary>
/// <remarks>
/// <para>
/// Opened by <see cref="VfioHost.TryOpenDevice"/> and unusable until <see cref="Bind"/>, or by <see cref="VfioGroupFile.OpenDevice(string, out VfioDeviceFile?)"/>
/// and usable at once. Results are those of the kernel's file
/// operations; nothing throws. Region access, ioctls and maps may run on several threads at once, also on several files of a device;
/// closing waits for nobody: stop using the file first.
/// </para>
/// <para>Lock order: bind, attach, detach and dispose take the device set's lock, inside the group's for a file from a group.</para>
/// </remarks>
public sealed partial class VfioDeviceFile : VfioFile
{
    private readonly VfioDevice _device;
    private readonly VfioGroup? _group;
    private volatile bool _granted;

    internal VfioDeviceFile(VfioDevice device, VfioGroup? group = null)
    {
        _device = device;
        _group = group;
    }

    /// <summary>The device.</summary>
    public VfioDevice Device => _device;

    /// <summary>Whether the file was opened through a group, so that it is bound from the start and the user cannot attach it.</summary>
    public bool IsFromGroup => _group is not null;

    /// <summary>Whether the file is bound, so that operations reach the device.</summary>
    public bool IsBound => _granted;

    /// <summary>The virtual machine of a file that was opened by the device's own node; counts at bind.</summary>
    internal IKvm? Kvm { get; set; }

    /// <summary>
    /// Raised at each turn of the unregister loop while this file is open, with the count that <see cref="VfioDevice.OnRequest"/> got:
    /// the host wants the device back. Close the file soon.
    /// </summary>
    /// <remarks>For users in this process, such as servers; others learn it by the REQ interrupt. Handlers must not block.</remarks>
    public event Action<uint>? Requested
    {
        add => _device.Requested += value;
        remove => _device.Requested -= value;
    }

    /// <summary>Binds the device to an iommufd context and opens it: from here on operations reach it.</summary>
    /// <param name="context">The context; it must stay open for as long as the file.</param>
    /// <param name="deviceId">The id of the binding in the context.</param>
    /// <param name="token">A token, for devices that ask for one.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EBUSY"/> while the group node is open; <see cref="Errno.EINVAL"/> when this file is
    /// bound already, another file has the device, or a token is given to a device that takes none; what the device's
    /// <see cref="VfioDevice.MatchToken"/>, <see cref="VfioDevice.BindIommufd"/> or <see cref="VfioDevice.OnOpen"/> reported.
    /// </returns>
    /// <remarks>VFIO_DEVICE_BIND_IOMMUFD (<c>vfio_df_ioctl_bind_iommufd</c>); spec vfio-core §5.4.</remarks>
    public Errno Bind(IommufdContext context, out uint deviceId, Guid? token = null)
    {
        deviceId = 0;
        if (_group is not null || _device.Group is not { } group)
        {
            return Errno.EINVAL;
        }

        Errno error = group.Block();
        if (error != Errno.None)
        {
            return error;
        }

        error = BindLocked(context, token, out deviceId);
        if (error != Errno.None)
        {
            group.Unblock();
        }

        return error;
    }

    /// <summary>Attaches the device's DMA to an address space or page table of the context; a second attach replaces.</summary>
    /// <param name="ptId">The id; on return the id of what was attached.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when not bound; what <see cref="VfioDevice.AttachIoas"/> reported.</returns>
    /// <remarks>VFIO_DEVICE_ATTACH_IOMMUFD_PT.</remarks>
    public Errno Attach(ref uint ptId)
    {
        if (!_granted || _group is not null)
        {
            return Errno.EINVAL;
        }

        lock (_device.DeviceSet!.Lock)
        {
            return _device.AttachIoas(ref ptId);
        }
    }

    /// <summary>Detaches the device's DMA; succeeds also when nothing was attached.</summary>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> when not bound.</returns>
    /// <remarks>VFIO_DEVICE_DETACH_IOMMUFD_PT.</remarks>
    public Errno Detach()
    {
        if (!_granted || _group is not null)
        {
            return Errno.EINVAL;
        }

        lock (_device.DeviceSet!.Lock)
        {
            _device.DetachIoas();
            return Errno.None;
        }
    }

    /// <summary>Attaches one PASID.</summary>
    /// <param name="pasid">The PASID.</param>
    /// <param name="ptId">The id; on return the id of what was attached.</param>
    /// <returns>As for <see cref="Attach"/>; <see cref="Errno.EOPNOTSUPP"/> when the device has no PASIDs.</returns>
    /// <remarks>VFIO_DEVICE_ATTACH_IOMMUFD_PT with VFIO_DEVICE_ATTACH_PASID.</remarks>
    public Errno AttachPasid(uint pasid, ref uint ptId)
    {
        if (!_granted || _group is not null)
        {
            return Errno.EINVAL;
        }

        if (!_device.SupportsPasid)
        {
            return Errno.EOPNOTSUPP;
        }

        lock (_device.DeviceSet!.Lock)
        {
            return _device.PasidAttachIoas(pasid, ref ptId);
        }
    }

    /// <summary>Detaches one PASID; an unknown one is ignored.</summary>
    /// <param name="pasid">The PASID.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when not bound; <see cref="Errno.EOPNOTSUPP"/> when the device has no PASIDs.</returns>
    /// <remarks>VFIO_DEVICE_DETACH_IOMMUFD_PT with VFIO_DEVICE_DETACH_PASID.</remarks>
    public Errno DetachPasid(uint pasid)
    {
        if (!_granted || _group is not null)
        {
            return Errno.EINVAL;
        }

        if (!_device.SupportsPasid)
        {
            return Errno.EOPNOTSUPP;
        }

        lock (_device.DeviceSet!.Lock)
        {
            _device.PasidDetachIoas(pasid);
            return Errno.None;
        }
    }

    /// <summary>Reads device memory.</summary>
    /// <param name="buffer">Receives the bytes.</param>
    /// <param name="position">Position in the file, from <see cref="RegionInfo.Position"/>.</param>
    /// <returns>The number of bytes, or an errno; <see cref="Errno.EINVAL"/> when not bound.</returns>
    public override IoResult Read(Span<byte> buffer, ulong position) => _granted ? _device.Read(buffer, position) : Errno.EINVAL;

    /// <summary>Writes device memory.</summary>
    /// <param name="buffer">The bytes.</param>
    /// <param name="position">Position in the file, from <see cref="RegionInfo.Position"/>.</param>
    /// <returns>The number of bytes, or an errno; <see cref="Errno.EINVAL"/> when not bound.</returns>
    public override IoResult Write(ReadOnlySpan<byte> buffer, ulong position) => _granted ? _device.Write(buffer, position) : Errno.EINVAL;

    /// <summary>Maps device memory.</summary>
    /// <param name="request">What to map.</param>
    /// <param name="memory">Where to find it, owned by the device.</param>
    /// <returns><see cref="Errno.None"/>, or an errno; <see cref="Errno.EINVAL"/> when not bound.</returns>
    public override Errno Map(in MapRequest request, out MappableMemory memory)
    {
        if (_granted)
        {
            return _device.Map(in request, out memory);
        }

        memory = default;
        return Errno.EINVAL;
    }

    /// <summary>The doorbells of a region that can be rung by eventfd.</summary>
    /// <param name="region">The region index.</param>
    /// <returns>The doorbells; empty when there are none or the file is not bound.</returns>
    public IReadOnlyList<RegionDoorbell> GetDoorbells(uint region) => _granted ? _device.GetDoorbells(region) : [];

    /// <summary>
    /// Closes the file. A bound one closes the device when it was its last user: <see cref="VfioDevice.OnClose"/>, then
    /// <see cref="VfioDevice.UnbindIommufd"/>.
    /// </summary>
    protected override void Close()
    {
        if (_granted)
        {
            _granted = false;
            if (_group is not null)
            {
                CloseThroughGroup(_group);
            }
            else
            {
                Unbind();
            }
        }

        _device.PutRegistration();
    }

    private Errno BindLocked(IommufdContext context, Guid? token, out uint deviceId)
    {
        deviceId = 0;
        lock (_device.DeviceSet!.Lock)
        {
            if (_granted)
            {
                return Errno.EINVAL;
            }

            if (token is not null && !_device.ChecksToken)
            {
                return Errno.EINVAL;
            }

            Errno error = _device.ChecksToken ? _device.MatchToken(token) : Errno.None;
            if (error != Errno.None)
            {
                return error;
            }

            if (_device.OpenCount != 0)
            {
                return Errno.EINVAL;
            }

            error = FirstOpen(context, compat: false, out deviceId);
            if (error != Errno.None)
            {
                return error;
            }

            _device.OpenCount = 1;
            _granted = true;
            return Errno.None;
        }
    }

    /// <summary>Undoes a successful <see cref="Bind"/>.</summary>
    private void Unbind()
    {
        IommufdContext? context;
        lock (_device.DeviceSet!.Lock)
        {
            _device.OpenCount = 0;
            context = LastClose();
        }

        _device.Host.Options.PutDriver(_device);
        DropKvm();
        _device.Group?.Unblock();
        context?.Dispose();
    }
}
