using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public abstract partial class VfioDevice
{
    private readonly TaskCompletionSource _unused = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private VfioHost? _host;
    private VfioDeviceSet? _deviceSet;
    private DeviceParent? _parent;
    private int _references = 1;
    private int _registrationUsers;

    /// <summary>The host that allocated the device.</summary>
    /// <exception cref="InvalidOperationException">The device was made with <c>new</c> and not through <see cref="VfioHost.Allocate{T}"/>.</exception>
    public VfioHost Host => _host ?? throw new InvalidOperationException($"{GetType().Name} is not allocated yet: construct it inside VfioHost.Allocate.");

    /// <summary>The number in the device's node name: the lowest that was free.</summary>
    public int Index { get; private set; } = -1;

    /// <summary>The name of the bus device, given at registration; before that the type's name.</summary>
    public string Name => _parent?.Name ?? GetType().Name;

    /// <summary>The device's node under <c>/dev/vfio/devices</c>.</summary>
    public string NodeName => Group?.Type == VfioGroupType.NoIommu ? $"noiommu-vfio{Index}" : $"vfio{Index}";

    /// <summary>The bus device, or null before registration.</summary>
    public DeviceParent? Parent => _parent;

    /// <summary>The group, while registered.</summary>
    public VfioGroup? Group { get; private set; }

    /// <summary>The set of devices that share open, close and reset; null before registration unless <see cref="AssignSet"/> was called.</summary>
    public VfioDeviceSet? DeviceSet => _deviceSet;

    /// <summary>How many files have the device open. Changes under the device set's lock.</summary>
    public int OpenCount { get; internal set; }

    /// <summary>Whether the device logs which pages its DMA wrote.</summary>
    public bool HasDirtyLog => DirtyLog is not null;

    /// <summary>Whether new users can come.</summary>
    public bool IsRegistered => Volatile.Read(ref _registrationUsers) > 0;

    /// <summary>The memory that the user mapped for the device's DMA.</summary>
    public DmaSpace Dma { get; } = new();

    /// <summary>Per-device opt-in to version 2 of the pre-copy information, until the last close (feature 12).</summary>
    internal bool PrecopyInfoV2 { get; set; }

    /// <summary>The container through which the device is open, from before <see cref="OnOpen"/> until after <see cref="OnClose"/>; null otherwise.</summary>
    internal VfioContainer? OpenContainer { get; set; }

    /// <summary>The iommufd through which the device is open; a reference is held. Like <see cref="OpenContainer"/> under the device set's lock.</summary>
    internal IommufdContext? OpenContext { get; set; }

    /// <summary>The id of the binding in <see cref="OpenContext"/>; 0 when there is none. Under the device set's lock.</summary>
    internal uint OpenDeviceId { get; set; }

    /// <summary>Whether the device is open by its own node and an iommufd, and not through its group.</summary>
    /// <remarks><c>vfio_device_cdev_opened</c>. Changes under the device set's lock.</remarks>
    public bool IsOpenedByCharacterDevice { get; internal set; }

    /// <summary>The iommufd through which the device is open, or null.</summary>
    /// <remarks>Changes under the device set's lock.</remarks>
    protected internal IommufdContext? BoundContext => OpenContext;

    /// <summary>The virtual machine whose user has the device open, from before <see cref="OnOpen"/> until after <see cref="OnClose"/>; null when nobody said.</summary>
    /// <remarks><c>vfio_device.kvm</c>; see <see cref="VfioKvm.SetKvm"/>.</remarks>
    public IKvm? Kvm { get; internal set; }

    /// <summary>Completes when the last registration reference is gone.</summary>
    internal Task Unused => _unused.Task;

    /// <summary>Raised with the request count when the device is asked back; see <see cref="VfioDeviceFile.Requested"/>.</summary>
    internal event Action<uint>? Requested;

    /// <summary>Joins the device to a set. May be called once, before registration; the default is a set of its own.</summary>
    /// <param name="id">What identifies the set in this host; compared by <see cref="object.Equals(object)"/>.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> for null or a second call.</returns>
    /// <remarks><c>vfio_assign_device_set</c>.</remarks>
    public Errno AssignSet(object? id)
    {
        if (id is null || _deviceSet is not null)
        {
            return Errno.EINVAL;
        }

        _deviceSet = Host.JoinSet(id, this);
        return Errno.None;
    }

    /// <summary>Tells what the device is to the user of an iommufd context.</summary>
    /// <param name="context">The context.</param>
    /// <param name="deviceId">The id of the device's binding in it.</param>
    /// <returns>
    /// <see cref="Errno.None"/> when the device is bound to the context; <see cref="Errno.ENOENT"/> when it is not but another device of its IOMMU
    /// group is, so that the user owns it; <see cref="Errno.ENODEV"/> when it is not the user's.
    /// </returns>
    /// <remarks><c>vfio_iommufd_get_dev_id</c>. The caller holds the lock of the device's set.</remarks>
    public Errno GetDeviceId(IommufdContext context, out uint deviceId)
    {
        deviceId = 0;
        if (ReferenceEquals(OpenContext, context))
        {
            deviceId = OpenDeviceId;
            return Errno.None;
        }

        return Group is { } group && (group.IommuGroup.IsOwnedBy(context) || group.Devices.Any(device => ReferenceEquals(device.OpenContext, context)))
            ? Errno.ENOENT
            : Errno.ENODEV;
    }

    /// <summary>Takes a reference on the object, to be given back by <see cref="Put"/>.</summary>
    public void Get() => Interlocked.Increment(ref _references);

    /// <summary>
    /// Gives a reference back; the first belongs to whoever allocated the device. With the last one the device leaves its set, its
    /// index becomes free, and <see cref="OnRelease"/> runs.
    /// </summary>
    /// <remarks><c>vfio_put_device</c>.</remarks>
    public void Put()
    {
        int left = Interlocked.Decrement(ref _references);
        if (left == 0)
        {
            Withdraw();
            OnRelease();
        }
        else if (left < 0)
        {
            throw new InvalidOperationException($"{Name} was put more often than it was got.");
        }
    }

    /// <summary>Takes a reference on the registration, which keeps <see cref="VfioRegistration.UnregisterAsync"/> waiting.</summary>
    /// <returns>False when the device is not registered or no longer used.</returns>
    /// <remarks><c>vfio_device_try_get_registration</c>.</remarks>
    public bool TryGetRegistration()
    {
        int users = Volatile.Read(ref _registrationUsers);
        while (users > 0)
        {
            int seen = Interlocked.CompareExchange(ref _registrationUsers, users + 1, users);
            if (seen == users)
            {
                return true;
            }

            users = seen;
        }

        return false;
    }

    /// <summary>Gives back what <see cref="TryGetRegistration"/> took.</summary>
    /// <remarks><c>vfio_device_put_registration</c>.</remarks>
    public void PutRegistration()
    {
        if (Interlocked.Decrement(ref _registrationUsers) == 0)
        {
            _unused.TrySetResult();
        }
    }

    /// <summary>Gives the device to a host, once.</summary>
    internal bool TryAttach(VfioHost host, int index)
    {
        if (Interlocked.CompareExchange(ref _host, host, null) is not null)
        {
            return false;
        }

        Index = index;
        return true;
    }

    /// <summary>Leaves the set and gives the index back: the part of the release that precedes <see cref="OnRelease"/>.</summary>
    internal void Withdraw()
    {
        if (_deviceSet is { } set)
        {
            Host.LeaveSet(set, this);
            _deviceSet = null;
        }

        Host.FreeIndex(Index);
    }

    internal void SetRegistered(DeviceParent parent, VfioGroup group)
    {
        _parent = parent;
        Group = group;
    }

    internal void RaiseRequested(uint count) => Requested?.Invoke(count);

    internal void StartRegistration() => Volatile.Write(ref _registrationUsers, 1);

    internal void ClearGroup() => Group = null;
}
