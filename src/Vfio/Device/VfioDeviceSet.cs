namespace Vfio;

/// <summary>Devices that are opened, closed and reset under one lock, because a reset of one may reset all (<c>vfio_device_set</c>).</summary>
/// <remarks>
/// Lock order, outermost first: a group's lock, <see cref="Lock"/>, then the locks of containers and of iommufd. The lock is held around bind,
/// open, close, unbind, attach, detach and the token check, and around nothing else.
/// </remarks>
public sealed class VfioDeviceSet
{
    private readonly Lock _memberLock = new();
    private readonly List<VfioDevice> _devices = [];

    internal VfioDeviceSet(object id)
    {
        Id = id;
    }

    /// <summary>What identifies the set: given by the bus driver, or the device itself.</summary>
    public object Id { get; }

    /// <summary>The lock under which members are opened and closed.</summary>
    public Lock Lock { get; } = new();

    /// <summary>Number of member objects: a device leaves when it is released, not when it is unregistered.</summary>
    public int DeviceCount
    {
        get
        {
            lock (_memberLock)
            {
                return _devices.Count;
            }
        }
    }

    /// <summary>The members in the order in which they joined, registered or not.</summary>
    public IReadOnlyList<VfioDevice> Devices
    {
        get
        {
            lock (_memberLock)
            {
                return [.. _devices];
            }
        }
    }

    /// <summary>Sum of the members' open counts.</summary>
    public int OpenCount
    {
        get
        {
            lock (_memberLock)
            {
                int count = 0;
                foreach (VfioDevice device in _devices)
                {
                    count += device.OpenCount;
                }

                return count;
            }
        }
    }

    internal void Add(VfioDevice device)
    {
        lock (_memberLock)
        {
            _devices.Add(device);
        }
    }

    internal bool Remove(VfioDevice device)
    {
        lock (_memberLock)
        {
            _devices.Remove(device);
            return _devices.Count == 0;
        }
    }
}
