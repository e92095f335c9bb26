namespace Vfio;

/// <summary>The registered devices of one <see cref="IommuGroup"/> (<c>vfio_group</c>).</summary>
/// <remarks>
/// Exists from the first device's registration to the end of the last one's. Guarded by the host's registry lock; the device list by
/// the group's device lock, a leaf.
/// </remarks>
public sealed class VfioGroup
{
    private readonly Lock _deviceLock = new();
    private readonly List<VfioDevice> _devices = [];

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

    /// <summary>Number of registered devices, those included that are being unregistered.</summary>
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

    /// <summary>Bound character device files. While there is one the group node cannot be opened. Guarded by the host's registry lock.</summary>
    internal int BoundFiles { get; set; }

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
}
