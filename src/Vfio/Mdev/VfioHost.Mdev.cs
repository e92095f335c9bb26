using Vfio.Abi;

namespace Vfio;

public sealed partial class VfioHost
{
    private readonly List<MdevParent> _mdevParents = [];

    /// <summary>Guards the parents, their devices and the GUIDs in use. A leaf: no driver is called under it.</summary>
    internal Lock MdevLock { get; } = new();

    /// <summary>The GUIDs in use on all parents. Guarded by <see cref="MdevLock"/>.</summary>
    internal HashSet<Guid> MdevIds { get; } = [];

    /// <summary>The registered parents of mediated devices.</summary>
    public IReadOnlyList<MdevParent> MdevParents
    {
        get
        {
            lock (MdevLock)
            {
                return [.. _mdevParents];
            }
        }
    }

    /// <summary>The mdev part of sysfs: <c>class/mdev_bus/PARENT/…</c> with types and devices, and links in <c>bus/mdev/devices</c>.</summary>
    public IVirtualTree MdevTree => new VirtualDirectory(string.Empty, () =>
    [
        new VirtualDirectory("class", () => [new VirtualDirectory("mdev_bus", () => MdevParents.Select(static parent => parent.ToTree()))]),
        new VirtualDirectory("bus", () => [new VirtualDirectory("mdev", () => [new VirtualDirectory("devices", () =>
            MdevParents.SelectMany(static parent => parent.Devices).Select(static device => new VirtualLink(device.Name, $"class/mdev_bus/{device.Parent.Name}/{device.Name}")))])]),
    ]);

    /// <summary>Raised when a parent was registered (true) or unregistered (false): the change event with MDEV_STATE.</summary>
    public event Action<MdevParent, bool>? MdevParentChanged;

    /// <summary>Offers a device as a parent of mediated devices.</summary>
    /// <param name="name">The parent device's name.</param>
    /// <param name="driverName">The name of its driver.</param>
    /// <param name="driver">Makes the devices.</param>
    /// <param name="types">The types, at least one.</param>
    /// <returns>The parent.</returns>
    /// <exception cref="VfioException">EINVAL: the driver names no device API, or there are no types, or two of one name; EEXIST: the name is taken.</exception>
    /// <remarks><c>mdev_register_driver</c> and <c>mdev_register_parent</c>; spec vfio-core §9.1.</remarks>
    public MdevParent RegisterMdevParent(string name, string driverName, MdevDriver driver, params IReadOnlyList<MdevType> types)
    {
        string operation = $"register {name} as a parent of mediated devices";
        if (driver.DeviceApi.Length == 0)
        {
            throw new VfioException(Errno.EINVAL, operation, "Its driver names no device API, such as \"vfio-pci\".");
        }

        if (types.Count == 0 || types.DistinctBy(static type => type.SysfsName).Count() != types.Count)
        {
            throw new VfioException(Errno.EINVAL, operation, "It needs types, each with a name of its own.");
        }

        MdevParent parent = new(this, name, driverName, driver, types);
        lock (MdevLock)
        {
            if (_mdevParents.Exists(other => other.Name == name))
            {
                throw new VfioException(Errno.EEXIST, operation, "A parent of this name is registered.");
            }

            _mdevParents.Add(parent);
        }

        MdevParentChanged?.Invoke(parent, true);
        return parent;
    }

    internal void ForgetMdevParent(MdevParent parent)
    {
        lock (MdevLock)
        {
            _mdevParents.Remove(parent);
        }

        MdevParentChanged?.Invoke(parent, false);
    }
}
