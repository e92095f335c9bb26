using System.Diagnostics;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>The registered devices of one <see cref="IommuGroup"/> (<c>vfio_group</c>).</summary>
/// <remarks>
/// <para>
/// Exists from the first device's registration to the end of the last one's. A user who still has the node open then is left with a
/// zombie, on which nothing succeeds any more; a device registered later gets a new group of the same name.
/// </para>
/// <para>
/// Lock order, outermost first: the group's lock, the device set's lock, the container's lock. The host's registry lock and the device
/// list's are leaves. First open and last close of a device through the group run under the group's lock.
/// </para>
/// </remarks>
public sealed class VfioGroup
{
    private readonly Lock _deviceLock = new();
    private readonly List<VfioDevice> _devices = [];
    private VfioContainer? _container;
    private IommufdContext? _iommufd;
    private VfioGroupFile? _file;
    private int _boundFiles;
    private int _containerUsers;
    private bool _zombie;

    internal VfioGroup(IommuGroup iommuGroup, VfioGroupType type)
    {
        IommuGroup = iommuGroup;
        Type = type;
    }

    /// <summary>The IOMMU group.</summary>
    public IommuGroup IommuGroup { get; }

    /// <summary>Where isolation comes from.</summary>
    public VfioGroupType Type { get; }

    /// <summary>The group's node under <c>/dev/vfio</c>.</summary>
    public string NodeName => Type == VfioGroupType.NoIommu ? $"noiommu-{IommuGroup.Id}" : $"{IommuGroup.Id}";

    /// <summary>Number of registered devices, those included that are being unregistered. Guarded by the host's registry lock.</summary>
    public int DriverCount { get; internal set; }

    /// <summary>The devices that can be opened, newest first.</summary>
    public IReadOnlyList<VfioDevice> Devices
    {
        get
        {
            lock (_deviceLock)
            {
                return [.. _devices];
            }
        }
    }

    /// <summary>Held around every change of who uses the group.</summary>
    internal Lock Lock { get; } = new();

    /// <summary>The virtual machine of the group's user; counts at first opens. Ends with the node's file.</summary>
    internal IKvm? Kvm { get; private set; }

    /// <summary>Bound character device files. While there is one the group node cannot be opened.</summary>
    internal int BoundFiles
    {
        get
        {
            lock (Lock)
            {
                return _boundFiles;
            }
        }
    }

    /// <summary>The container, or null. The caller holds <see cref="Lock"/>.</summary>
    internal VfioContainer? Container => _container;

    /// <summary>The iommufd that stands for a container, or null. The caller holds <see cref="Lock"/>.</summary>
    internal IommufdContext? Iommufd => _iommufd;

    internal void Add(VfioDevice device)
    {
        lock (_deviceLock)
        {
            _devices.Insert(0, device);
        }
    }

    internal void Remove(VfioDevice device)
    {
        lock (_deviceLock)
        {
            _devices.Remove(device);
        }
    }

    /// <summary>Finds a device by a user's name for it and takes a reference on its registration (<c>vfio_device_get_from_name</c>).</summary>
    internal Errno Find(string name, out VfioDevice? device)
    {
        lock (_deviceLock)
        {
            foreach (VfioDevice candidate in _devices)
            {
                IoResult match = candidate.Match(name);
                if (match.IsError)
                {
                    device = null;
                    return match.Error;
                }

                if (match.Value > 0 && candidate.TryGetRegistration())
                {
                    device = candidate;
                    return Errno.None;
                }
            }
        }

        device = null;
        return Errno.ENODEV;
    }

    /// <summary>Blocks the group node for a bound character device file.</summary>
    /// <returns><see cref="Errno.EBUSY"/> while the group node is open.</returns>
    /// <remarks><c>vfio_device_block_group</c>.</remarks>
    internal Errno Block()
    {
        lock (Lock)
        {
            if (_file is not null)
            {
                return Errno.EBUSY;
            }

            _boundFiles++;
            return Errno.None;
        }
    }

    internal void Unblock()
    {
        lock (Lock)
        {
            _boundFiles--;
        }
    }

    /// <summary>Opens the node (<c>vfio_group_fops_open</c>).</summary>
    internal Errno Open(VfioHost host, out VfioGroupFile? file)
    {
        lock (Lock)
        {
            file = null;
            if (_zombie)
            {
                return Errno.ENODEV;
            }

            if (Type == VfioGroupType.NoIommu && !host.HasCapability(CallerCapabilities.RawIo))
            {
                return Errno.EPERM;
            }

            if (_boundFiles > 0 || _file is not null)
            {
                return Errno.EBUSY;
            }

            _file = file = new VfioGroupFile(this, host);
            return Errno.None;
        }
    }

    internal Errno GetStatus(out VfioGroupStatus status)
    {
        lock (Lock)
        {
            status = VfioGroupStatus.None;
            if (_zombie)
            {
                return Errno.ENODEV;
            }

            if (_container is not null || _iommufd is not null)
            {
                status = VfioGroupStatus.Viable | VfioGroupStatus.ContainerSet;
            }
            else if (!IommuGroup.IsDmaOwned)
            {
                status = VfioGroupStatus.Viable;
            }

            return Errno.None;
        }
    }

    /// <summary>Puts the group in a container, or an iommufd in a container's place (<c>vfio_group_ioctl_set_container</c>).</summary>
    internal Errno SetContainer(object? file)
    {
        lock (Lock)
        {
            if (_container is not null || _iommufd is not null)
            {
                return Errno.EINVAL;
            }

            if (_zombie)
            {
                return Errno.ENODEV;
            }

            switch (file)
            {
                case VfioContainer container:
                    Errno error = container.Attach(this);
                    if (error == Errno.None)
                    {
                        _container = container;
                        _containerUsers = 1;
                    }

                    return error;

                case IommufdContext context:
                    return SetIommufd(context);

                default:
                    return Errno.EBADFD;
            }
        }
    }

    /// <summary>Takes the group out again (<c>vfio_group_ioctl_unset_container</c>).</summary>
    internal Errno UnsetContainer()
    {
        IommufdContext? iommufd = null;
        lock (Lock)
        {
            if (_container is null && _iommufd is null)
            {
                return Errno.EINVAL;
            }

            if (_container is not null)
            {
                if (_containerUsers != 1)
                {
                    return Errno.EBUSY;
                }

                DetachContainer();
            }

            iommufd = _iommufd;
            _iommufd = null;
        }

        // Outside of the lock: it may be the last reference, and closing a context ends its objects.
        iommufd?.Dispose();
        return Errno.None;
    }

    /// <summary>Tells of the user's virtual machine (<c>vfio_group_set_kvm</c>).</summary>
    internal void SetKvm(IKvm? kvm)
    {
        lock (Lock)
        {
            Kvm = kvm;
        }
    }

    /// <summary>The first open of a device counts as a user of the container and keeps the group's file. The caller holds <see cref="Lock"/>.</summary>
    internal void AddContainerUser()
    {
        Debug.Assert(Lock.IsHeldByCurrentThread && _file is not null && _container is not null, "A device is opened through an open file.");
        _containerUsers++;
    }

    /// <summary>Undoes <see cref="AddContainerUser"/>. The caller holds <see cref="Lock"/>.</summary>
    internal void RemoveContainerUser()
    {
        Debug.Assert(Lock.IsHeldByCurrentThread, "The caller holds the group's lock.");
        _containerUsers--;
        if (_file is { IsClosed: true } && _containerUsers <= 1)
        {
            ReleaseFile();
        }
    }

    /// <summary>The user closed the node's file. Devices open through the container keep it (<c>vfio_group_use_container</c>).</summary>
    internal void CloseFile()
    {
        IommufdContext? iommufd;
        lock (Lock)
        {
            iommufd = _iommufd;
            _iommufd = null;
            if (_container is null || _containerUsers <= 1)
            {
                ReleaseFile();
            }
        }

        iommufd?.Dispose();
    }

    /// <summary>The last device is gone: nothing but closing succeeds on the group any more (<c>vfio_device_remove_group</c>).</summary>
    internal void MakeZombie()
    {
        lock (Lock)
        {
            _zombie = true;
            if (_container is not null)
            {
                DetachContainer();
            }
        }
    }

    private Errno SetIommufd(IommufdContext context)
    {
        Errno error = Type == VfioGroupType.NoIommu ? context.SetNoIommu() : context.EnsureCompatIoas();
        if (error != Errno.None)
        {
            return error;
        }

        if (!context.TryDuplicate())
        {
            return Errno.EBADF;
        }

        _iommufd = context;
        return Errno.None;
    }

    private void ReleaseFile()
    {
        if (_container is not null)
        {
            DetachContainer();
        }

        _file = null;
        Kvm = null;
    }

    private void DetachContainer()
    {
        _container!.Detach(this);
        _container = null;
        _containerUsers = 0;
    }
}
