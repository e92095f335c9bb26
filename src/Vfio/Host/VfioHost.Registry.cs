using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public sealed partial class VfioHost
{
    internal VfioDeviceSet JoinSet(object id, VfioDevice device)
    {
        lock (_registryLock)
        {
            if (!_sets.TryGetValue(id, out VfioDeviceSet? set))
            {
                set = new VfioDeviceSet(id);
                _sets.Add(id, set);
            }

            set.Add(device);
            return set;
        }
    }

    internal void LeaveSet(VfioDeviceSet set, VfioDevice device)
    {
        lock (_registryLock)
        {
            if (set.Remove(device))
            {
                _sets.Remove(set.Id);
            }
        }
    }

    internal void FreeIndex(int index)
    {
        lock (_registryLock)
        {
            _indices.Remove(index);
        }
    }

    /// <summary>Hides a device from new users: the first half of an unregistration.</summary>
    internal void Hide(VfioRegistration registration)
    {
        lock (_registryLock)
        {
            registration.IsOpenable = false;
        }

        registration.Device.Group?.Remove(registration.Device);
    }

    /// <summary>Drops a device's place in its group: the last step of an unregistration.</summary>
    internal void Remove(VfioRegistration registration)
    {
        VfioGroup? empty;
        lock (_registryLock)
        {
            _registrations.Remove(registration);
            empty = DropGroup(registration.Device);
        }

        empty?.MakeZombie();
    }

    private int TakeIndex()
    {
        lock (_registryLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            int index = 0;
            foreach (int used in _indices)
            {
                if (used != index)
                {
                    break;
                }

                index++;
            }

            VfioException.ThrowIfError(
                index > MaximumIndex ? Errno.ENOSPC : Errno.None,
                "allocate a device",
                "All device indices are taken: release devices that are no longer used.");
            _indices.Add(index);
            return index;
        }
    }

    private VfioRegistration Register(VfioDevice device, DeviceParent parent, VfioGroupType type)
    {
        if (!ReferenceEquals(device.Host, this))
        {
            throw new VfioException(Errno.EINVAL, $"register {parent.Name}", "The device was allocated by another host.");
        }

        if (device.DeviceSet is null)
        {
            _ = device.AssignSet(device);
        }

        VfioRegistration registration = new(this, device);
        lock (_registryLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_registrations.Exists(other => ReferenceEquals(other.Device, device)) || device.Unused.IsCompleted)
            {
                throw new VfioException(Errno.EINVAL, $"register {parent.Name}", "The device was registered before; allocate a new one.");
            }

            VfioGroup group = FindOrCreateGroup(parent, type);
            device.SetRegistered(parent, group);
            if (type == VfioGroupType.Iommu && !parent.IsCacheCoherent)
            {
                _ = DropGroup(device);
                throw new VfioException(Errno.EINVAL, $"register {parent.Name} as a group device", "Its DMA is not cache coherent.");
            }

            _registrations.Add(registration);
            device.StartRegistration();
            group.Add(device);
        }

        return registration;
    }

    private VfioGroup FindOrCreateGroup(DeviceParent parent, VfioGroupType type)
    {
        IommuGroup iommuGroup = type == VfioGroupType.Iommu ? parent.IommuGroup! : CreateIommuGroup("vfio-noiommu");
        if (!_groups.TryGetValue(iommuGroup.Id, out VfioGroup? group))
        {
            group = new VfioGroup(iommuGroup, type);
            _groups.Add(iommuGroup.Id, group);
        }
        else if (_registrations.Exists(other => ReferenceEquals(other.Device.Group, group) && ReferenceEquals(other.Device.Parent, parent)))
        {
            throw new VfioException(Errno.EINVAL, $"register {parent.Name} as a group device", "Another device object is registered for it.");
        }

        group.DriverCount++;
        return group;
    }

    /// <summary>Takes a device out of its group's count.</summary>
    /// <returns>The group when it was the last; its node is gone, and the caller ends it without the registry lock.</returns>
    private VfioGroup? DropGroup(VfioDevice device)
    {
        if (device.Group is not { } group)
        {
            return null;
        }

        device.ClearGroup();
        if (--group.DriverCount != 0)
        {
            return null;
        }

        _groups.Remove(group.IommuGroup.Id);
        return group;
    }
}
