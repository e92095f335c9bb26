using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>The IOMMU of a container on a pSeries platform: windows of bus addresses, translated by tables (<c>vfio_iommu_spapr_tce</c>).</summary>
/// <remarks>
/// <para>
/// Version 1 has one group and its default window, is switched on and off, and keeps each page in place as it is mapped. Version 2 has
/// several groups of one kind, windows that the user makes and removes, and memory that is registered before it is mapped. Devices that do their
/// DMA in software cannot use either.
/// </para>
/// <para>
/// The first command that has to do with memory binds the container to the caller's memory (<see cref="UserArgument.Memory"/>); commands from
/// another are refused. Lock order: the container's lock, this instance's, then those of windows and registered memory, which are leaves.
/// </para>
/// </remarks>
public sealed partial class SpaprIommu : VfioIommu
{
    private const ulong PageSize = 4096;
    private const int PageShift = 12;
    private const int Slots = 2;
    private static readonly ProcessUserMemory s_processMemory = new();
    private readonly Lock _lock = new();
    private readonly VfioHost _host;
    private readonly SpaprDriver _driver;
    private readonly bool _isVersion2;
    private readonly List<(VfioGroup Group, ISpaprTableGroup Tables)> _groups = [];
    private readonly SpaprWindow?[] _windows = new SpaprWindow?[Slots];
    private readonly List<SpaprMemoryBlock> _registered = [];
    private IUserMemory? _owner;
    private long _charged;
    private bool _isEnabled;
    private bool _defaultWindowPending;
    private bool _released;

    internal SpaprIommu(VfioHost host, SpaprDriver driver, bool isVersion2)
    {
        _host = host;
        _driver = driver;
        _isVersion2 = isVersion2;
    }

    /// <summary>Whether this is version 2.</summary>
    public bool IsVersion2 => _isVersion2;

    private LockedMemoryAccount Account => _host.Options.LockedMemory;

    private bool IsExempt => _host.HasCapability(CallerCapabilities.IpcLock);

    /// <inheritdoc/>
    public override int CheckExtension(uint extension) => _driver.CheckExtension(extension);

    /// <inheritdoc/>
    /// <remarks><c>tce_iommu_attach_group</c>; spec vfio-core §11.</remarks>
    public override Errno AttachGroup(VfioGroup group)
    {
        lock (_lock)
        {
            if (group.Type != VfioGroupType.Iommu)
            {
                return Errno.EINVAL;
            }

            if (group.IommuGroup.Hardware is not ISpaprTableGroup tables)
            {
                return Errno.ENODEV;
            }

            if (_groups.Exists(entry => ReferenceEquals(entry.Group, group)) || (!_isVersion2 && _groups.Count > 0))
            {
                return Errno.EBUSY;
            }

            if (_groups.Exists(entry => !Equals(entry.Tables.Kind, tables.Kind)))
            {
                return Errno.EPERM;
            }

            if (_isVersion2 && tables.MaximumWindows == 0)
            {
                return Errno.EINVAL;
            }

            for (int i = 0; i < Slots; i++)
            {
                Errno error = _windows[i] is { } window ? tables.SetWindow(i, window) : Errno.None;
                if (error != Errno.None)
                {
                    UnsetWindows(tables, i);
                    return error;
                }
            }

            _defaultWindowPending |= _groups.Count == 0;
            _groups.Add((group, tables));
            return Errno.None;
        }
    }

    /// <inheritdoc/>
    /// <remarks><c>tce_iommu_detach_group</c>.</remarks>
    public override void DetachGroup(VfioGroup group)
    {
        lock (_lock)
        {
            int index = _groups.FindIndex(entry => ReferenceEquals(entry.Group, group));
            if (index >= 0)
            {
                UnsetWindows(_groups[index].Tables, Slots);
                _groups.RemoveAt(index);
            }
        }
    }

    /// <inheritdoc/>
    public override void Release()
    {
        lock (_lock)
        {
            _released = true;
            for (int i = 0; i < Slots; i++)
            {
                FreeWindow(i);
            }

            foreach (SpaprMemoryBlock block in _registered)
            {
                _ = _driver.Memory.Put(block, Account);
            }

            _registered.Clear();
            DisableLocked();
        }
    }

    /// <summary>Tells what can be mapped.</summary>
    /// <param name="info">The windows and limits.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENXIO"/> without a group.</returns>
    /// <remarks>VFIO_IOMMU_SPAPR_TCE_GET_INFO.</remarks>
    public Errno GetInfo(out SpaprInfo info)
    {
        lock (_lock)
        {
            info = default;
            if (_groups.Count == 0)
            {
                return Errno.ENXIO;
            }

            ISpaprTableGroup tables = _groups[0].Tables;
            bool dynamic = _isVersion2 && tables.MaximumWindows > 0;
            info = new SpaprInfo(
                tables.DefaultWindowStart,
                tables.DefaultWindowSize,
                dynamic,
                dynamic ? tables.PageSizes : 0,
                dynamic ? tables.MaximumWindows : 0,
                dynamic ? tables.MaximumLevels : 0);
            return Errno.None;
        }
    }

    /// <summary>Switches mapping on, and charges the whole default window.</summary>
    /// <param name="owner">The caller's memory.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOTTY"/> in version 2; <see cref="Errno.EBUSY"/> when it is on; <see cref="Errno.ENODEV"/> without a
    /// group; <see cref="Errno.EPERM"/> without a default window, or for another process; <see cref="Errno.ENOMEM"/> over the limit.
    /// </returns>
    /// <remarks>VFIO_IOMMU_ENABLE (<c>tce_iommu_enable</c>).</remarks>
    public Errno Enable(IUserMemory owner)
    {
        lock (_lock)
        {
            if (_isVersion2)
            {
                return Errno.ENOTTY;
            }

            if (_isEnabled)
            {
                return Errno.EBUSY;
            }

            if (_groups.Count == 0)
            {
                return Errno.ENODEV;
            }

            uint size = _groups[0].Tables.DefaultWindowSize;
            if (size == 0 || !TryBind(owner))
            {
                return Errno.EPERM;
            }

            if (!Account.TryCharge(size >> PageShift, IsExempt))
            {
                return Errno.ENOMEM;
            }

            _charged = size >> PageShift;
            _isEnabled = true;
            return Errno.None;
        }
    }

    /// <summary>Switches mapping off. What is mapped stays, but nothing can be changed.</summary>
    /// <returns><see cref="Errno.None"/>, also when it is off; <see cref="Errno.ENOTTY"/> in version 2.</returns>
    /// <remarks>VFIO_IOMMU_DISABLE (<c>tce_iommu_disable</c>).</remarks>
    public Errno Disable()
    {
        lock (_lock)
        {
            if (_isVersion2)
            {
                return Errno.ENOTTY;
            }

            DisableLocked();
            return Errno.None;
        }
    }

    /// <summary>Keeps memory in place for mapping; the first time switches mapping on.</summary>
    /// <param name="owner">The caller's memory.</param>
    /// <param name="address">First address, a multiple of the page size.</param>
    /// <param name="size">Length in bytes, a multiple of the page size.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOTTY"/> in version 1; <see cref="Errno.EPERM"/> for another process; <see cref="Errno.EINVAL"/> for a bad
    /// range or one that overlaps another block; <see cref="Errno.EBUSY"/> when it is registered here; <see cref="Errno.EFAULT"/> for memory that is
    /// not there; <see cref="Errno.ENOMEM"/> over the limit.
    /// </returns>
    /// <remarks>VFIO_IOMMU_SPAPR_REGISTER_MEMORY (<c>tce_iommu_register_pages</c>).</remarks>
    public Errno RegisterMemory(IUserMemory owner, ulong address, ulong size)
    {
        lock (_lock)
        {
            if (!_isVersion2)
            {
                return Errno.ENOTTY;
            }

            if (!TryBind(owner))
            {
                return Errno.EPERM;
            }

            if (address % PageSize != 0 || size % PageSize != 0 || size == 0 || unchecked(address + size) < address)
            {
                return Errno.EINVAL;
            }

            SpaprMemoryBlock? block = _driver.Memory.Get(owner, address, size);
            if (block is not null && _registered.Contains(block))
            {
                _ = _driver.Memory.Put(block, Account);
                return Errno.EBUSY;
            }

            Errno error = block is null ? _driver.Memory.Add(owner, address, size, Account, IsExempt, out block) : Errno.None;
            if (error == Errno.None)
            {
                _registered.Add(block!);
                _isEnabled = true;
            }

            return error;
        }
    }

    /// <summary>Lets registered memory go.</summary>
    /// <param name="owner">The caller's memory.</param>
    /// <param name="address">First address, as registered.</param>
    /// <param name="size">Length, as registered: blocks are not cut.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOTTY"/> in version 1; <see cref="Errno.EPERM"/> before anything was registered, or for another
    /// process; <see cref="Errno.ENOENT"/> for what is not exactly a block; <see cref="Errno.EBUSY"/> while it is mapped.
    /// </returns>
    /// <remarks>VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY (<c>tce_iommu_unregister_pages</c>).</remarks>
    public Errno UnregisterMemory(IUserMemory owner, ulong address, ulong size)
    {
        lock (_lock)
        {
            if (!_isVersion2)
            {
                return Errno.ENOTTY;
            }

            if (_owner is null || !TryBind(owner))
            {
                return Errno.EPERM;
            }

            if (address % PageSize != 0 || size % PageSize != 0)
            {
                return Errno.EINVAL;
            }

            SpaprMemoryBlock? block = _registered.Find(candidate => candidate.Address == address && candidate.Size == size);
            Errno error = block is null ? Errno.ENOENT : _driver.Memory.Put(block, Account);
            if (error == Errno.None)
            {
                _registered.Remove(block!);
            }

            return error;
        }
    }

    /// <summary>Executes an operation on the endpoints of all groups, ending at the first result that is not 0.</summary>
    /// <param name="operation">What to do; not <see cref="SpaprEndpointOperation.InjectError"/>, which goes to the endpoint itself.</param>
    /// <returns>The result: 0, a <see cref="SpaprEndpointState"/>, or an errno; <see cref="Errno.ENODEV"/> of a group without an endpoint.</returns>
    /// <remarks>VFIO_EEH_PE_OP.</remarks>
    public IoResult Execute(SpaprEndpointOperation operation)
    {
        foreach (SpaprEndpoint? endpoint in GetEndpoints())
        {
            IoResult result = endpoint?.Execute(operation) ?? Errno.ENODEV;
            if (result.IsError || result.Value != 0)
            {
                return result;
            }
        }

        return IoResult.Success();
    }

    private SpaprEndpoint?[] GetEndpoints()
    {
        lock (_lock)
        {
            return [.. _groups.Select(static entry => entry.Tables.Endpoint)];
        }
    }

    private bool TryBind(IUserMemory caller)
    {
        _owner ??= caller;
        return ReferenceEquals(_owner, caller);
    }

    private void DisableLocked()
    {
        if (!_isVersion2)
        {
            _isEnabled = false;
        }

        Account.Uncharge(_charged);
        _charged = 0;
    }
}
