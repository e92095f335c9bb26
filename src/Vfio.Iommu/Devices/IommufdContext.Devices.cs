using Vfio.Abi;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private readonly Dictionary<IommuGroup, DeviceGroup> _groups = [];

    /// <summary>Puts a device under the context's control.</summary>
    /// <param name="device">The device. All devices of its group must be bound to one context.</param>
    /// <param name="allowUnsafeInterrupts">Whether its group may be one whose devices can raise interrupts that are not theirs.</param>
    /// <param name="bound">The binding; the context stays open until <see cref="IommufdDevice.Unbind"/>.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOMEM"/> when the context is full; <see cref="Errno.EINVAL"/> for DMA that is not cache
    /// coherent; <see cref="Errno.ENODEV"/> without an IOMMU; <see cref="Errno.EPERM"/> when interrupts are not isolated or somebody else owns
    /// the group's DMA; <see cref="Errno.EBUSY"/>.
    /// </returns>
    /// <remarks><c>iommufd_device_bind</c>; spec iommufd §4.1.</remarks>
    public Errno BindDevice(IIommuDevice device, bool allowUnsafeInterrupts, out IommufdDevice? bound)
        => Bind(device, allowUnsafeInterrupts, holdsContext: true, out bound);

    /// <summary>Binds a device that belongs to another object of the context, and so does not hold the context.</summary>
    internal Errno BindInternalDevice(IIommuDevice device, out IommufdDevice? bound) => Bind(device, allowUnsafeInterrupts: true, holdsContext: false, out bound);

    private Errno Bind(IIommuDevice device, bool allowUnsafeInterrupts, bool holdsContext, out IommufdDevice? bound)
    {
        bound = null;
        if (ObjectCount >= Limits.MaximumObjects)
        {
            return Errno.ENOMEM;
        }

        if (!device.IsCacheCoherent)
        {
            return Errno.EINVAL;
        }

        if (device.IommuGroup is not { } group)
        {
            return Errno.ENODEV;
        }

        if (!group.Hardware.HasIsolatedMsi && !allowUnsafeInterrupts)
        {
            return Errno.EPERM;
        }

        Errno error = group.ClaimDma(this);
        if (error != Errno.None)
        {
            return error;
        }

        DeviceGroup deviceGroup = GetGroup(group);
        IommufdDevice created = new(this, device, deviceGroup) { HoldsContext = holdsContext };
        error = PublishOwned(created);
        if (error != Errno.None)
        {
            PutGroup(deviceGroup);
            group.ReleaseDma(this);
            return error;
        }

        bound = created;
        return Errno.None;
    }

    /// <summary>Whether a device of a group is bound to this context.</summary>
    /// <param name="group">The group.</param>
    /// <returns>True when one is.</returns>
    /// <remarks><c>iommufd_ctx_has_group</c>.</remarks>
    public bool HasGroup(IommuGroup group)
    {
        lock (_groups)
        {
            return _groups.ContainsKey(group);
        }
    }

    private DeviceGroup GetGroup(IommuGroup group)
    {
        lock (_groups)
        {
            if (!_groups.TryGetValue(group, out DeviceGroup? found))
            {
                found = new DeviceGroup(group);
                _groups.Add(group, found);
            }

            found.DeviceCount++;
            return found;
        }
    }

    internal void PutGroup(DeviceGroup group)
    {
        lock (_groups)
        {
            if (--group.DeviceCount == 0)
            {
                _groups.Remove(group.Group);
            }
        }
    }
}
