using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public sealed partial class VfioHost
{
    /// <summary>The registered IOMMU drivers, newest first.</summary>
    internal IReadOnlyList<VfioIommuDriver> IommuDrivers
    {
        get
        {
            lock (_registryLock)
            {
                return [.. _iommuDrivers];
            }
        }
    }

    /// <summary>Opens a node by its path.</summary>
    /// <param name="path">
    /// <c>/dev/vfio/vfio</c> (a container), <c>/dev/vfio/N</c> or <c>/dev/vfio/noiommu-N</c> (a group),
    /// <c>/dev/vfio/devices/vfioN</c> or <c>…/noiommu-vfioN</c> (a device), <c>/dev/iommu</c> (an iommufd).
    /// </param>
    /// <param name="file">The file; the caller disposes it.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.ENOENT"/> for any other path; otherwise as for <see cref="TryOpenGroup"/> and <see cref="TryOpenDevice"/>.</returns>
    public Errno Open(string path, out VfioFile? file)
    {
        const string Devices = "/dev/vfio/devices/";
        const string Nodes = "/dev/vfio/";
        Errno error = Errno.ENOENT;
        file = null;
        if (path == "/dev/iommu")
        {
            file = new IommufdContext(Options.IommufdLimits, () => new IommufdCaller(Options.Capabilities(), Options.ProcessAccount() ?? _account))
            {
                Extension = Options.IommufdExtension,
            };
            return Errno.None;
        }

        if (path == "/dev/vfio/vfio")
        {
            file = OpenContainer();
            return Errno.None;
        }

        if (path.StartsWith(Devices, StringComparison.Ordinal))
        {
            error = TryOpenDevice(path, out VfioDeviceFile? device);
            file = device;
        }
        else if (path.StartsWith(Nodes, StringComparison.Ordinal))
        {
            error = TryOpenGroup(path[Nodes.Length..], out VfioGroupFile? group);
            file = group;
        }

        return error;
    }

    /// <summary>Opens an empty container.</summary>
    /// <returns>The container; the caller disposes it.</returns>
    /// <remarks>open of <c>/dev/vfio/vfio</c>.</remarks>
    public VfioContainer OpenContainer() => new(this);

    /// <summary>Opens a group's node.</summary>
    /// <param name="node">The node's name, <see cref="VfioGroup.NodeName"/>.</param>
    /// <param name="file">The file; the caller disposes it.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENODEV"/> when there is no such group any more or yet; <see cref="Errno.EPERM"/> for a
    /// group without IOMMU; <see cref="Errno.EBUSY"/> while the node is open, or a device of the group is bound to an iommufd.
    /// </returns>
    /// <remarks><c>vfio_group_fops_open</c>; spec vfio-core §5.3.</remarks>
    public Errno TryOpenGroup(string node, out VfioGroupFile? file)
    {
        VfioGroup? group = null;
        lock (_registryLock)
        {
            foreach (VfioGroup candidate in _groups.Values)
            {
                if (candidate.NodeName == node)
                {
                    group = candidate;
                }
            }
        }

        file = null;
        return group?.Open(this, out file) ?? Errno.ENODEV;
    }

    /// <summary>Adds a way in which containers can translate DMA. It is asked before those that are there.</summary>
    /// <param name="driver">The driver.</param>
    /// <exception cref="VfioException">EINVAL when it is registered.</exception>
    /// <remarks><c>vfio_register_iommu_driver</c>.</remarks>
    public void RegisterIommuDriver(VfioIommuDriver driver)
    {
        lock (_registryLock)
        {
            VfioException.ThrowIfError(
                _iommuDrivers.Contains(driver) ? Errno.EINVAL : Errno.None,
                $"register IOMMU driver {driver.Name}",
                "It is registered already.");
            _iommuDrivers.Insert(0, driver);
        }
    }

    /// <summary>Takes an IOMMU driver away from containers that have not chosen yet; others keep their instances.</summary>
    /// <param name="driver">The driver.</param>
    /// <remarks><c>vfio_unregister_iommu_driver</c>.</remarks>
    public void UnregisterIommuDriver(VfioIommuDriver driver)
    {
        lock (_registryLock)
        {
            _iommuDrivers.Remove(driver);
        }
    }

    internal bool HasCapability(CallerCapabilities capability) => (Options.Capabilities() & capability) == capability;
}
