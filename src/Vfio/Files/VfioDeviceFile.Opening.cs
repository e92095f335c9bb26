using System.Diagnostics;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public sealed partial class VfioDeviceFile
{
    /// <summary>Opens the device for a user of its group (<c>vfio_df_group_open</c>, spec vfio-core §5.3).</summary>
    internal Errno OpenThroughGroup()
    {
        VfioGroup group = _group!;
        lock (group.Lock)
        {
            if (group.Container is null && group.Iommufd is null)
            {
                return Errno.EINVAL;
            }

            lock (_device.DeviceSet!.Lock)
            {
                if (_device.OpenCount == 0)
                {
                    Errno error = group.Container is { } container ? FirstOpen(group, container) : FirstOpen(group, group.Iommufd!);
                    if (error != Errno.None)
                    {
                        return error;
                    }
                }

                _device.OpenCount++;
                _granted = true;
                return Errno.None;
            }
        }
    }

    private void CloseThroughGroup(VfioGroup group)
    {
        IommufdContext? context = null;
        lock (group.Lock)
        {
            // The way it was opened decides, not what the group is set to now (spec vfio-core Q3).
            bool container = _device.OpenContainer is not null;
            bool last;
            lock (_device.DeviceSet!.Lock)
            {
                last = --_device.OpenCount == 0;
                if (last)
                {
                    context = LastClose();
                }
            }

            if (last && container)
            {
                group.RemoveContainerUser();
            }

            if (last)
            {
                _device.Host.Options.PutDriver(_device);
                DropKvm();
            }
        }

        context?.Dispose();
    }

    /// <summary>First open through a container: its IOMMU hears of the device before the device hears of its user.</summary>
    private Errno FirstOpen(VfioGroup group, VfioContainer container)
    {
        if (!_device.Host.Options.TryGetDriver(_device))
        {
            return Errno.ENODEV;
        }

        TakeKvm(group.Kvm);
        Errno error = container.Iommu is null ? Errno.EINVAL
            : group.Type == VfioGroupType.NoIommu && !_device.Host.HasCapability(CallerCapabilities.RawIo) ? Errno.EPERM
            : Errno.None;
        if (error == Errno.None)
        {
            VfioIommu iommu = container.Iommu!;
            group.AddContainerUser();
            _device.OpenContainer = container;
            _device.Dma.Connect(new ContainerDmaPath(group, iommu, _device.CanPin));
            iommu.RegisterDevice(_device);
            error = _device.OnOpen();
            if (error != Errno.None)
            {
                LeaveContainer(container);
                group.RemoveContainerUser();
            }
        }

        if (error != Errno.None)
        {
            _device.Host.Options.PutDriver(_device);
            DropKvm();
        }

        return error;
    }

    /// <summary>First open through an iommufd that stands for the group's container.</summary>
    private Errno FirstOpen(VfioGroup group, IommufdContext context)
    {
        if (group.Type == VfioGroupType.NoIommu
            && (!_device.Host.HasCapability(CallerCapabilities.RawIo) || context.GetCompatIoas(out _) == Errno.None))
        {
            return Errno.EPERM;
        }

        return FirstOpen(context, compat: true, out _);
    }

    /// <summary>First open through an iommufd (<c>vfio_df_device_first_open</c>). The caller holds the device set's lock.</summary>
    /// <param name="context">The iommufd.</param>
    /// <param name="compat">Whether it stands for a container, so that the device is attached to its compatibility address space.</param>
    /// <param name="deviceId">The id of the binding.</param>
    private Errno FirstOpen(IommufdContext context, bool compat, out uint deviceId)
    {
        deviceId = 0;
        if (!_device.Host.Options.TryGetDriver(_device))
        {
            return Errno.ENODEV;
        }

        if (!context.TryDuplicate())
        {
            _device.Host.Options.PutDriver(_device);
            return Errno.EBADF;
        }

        TakeKvm(compat ? _group!.Kvm : Kvm);
        bool binds = !compat || _device.Group?.Type != VfioGroupType.NoIommu;
        Errno error = binds ? _device.BindIommufd(context, out deviceId) : Errno.None;
        bool bound = binds && error == Errno.None;
        if (error == Errno.None)
        {
            error = _device.OnOpen();
            if (error == Errno.None && compat && binds)
            {
                error = AttachCompat(context);
                if (error != Errno.None)
                {
                    _device.OnClose();
                }
            }
        }

        if (error == Errno.None)
        {
            _device.OpenContext = context;
            _device.OpenDeviceId = deviceId;
            _device.IsOpenedByCharacterDevice = !compat;
            return Errno.None;
        }

        if (bound)
        {
            _device.UnbindIommufd();
        }

        deviceId = 0;
        context.Dispose(); // Never the last reference: whoever opens holds one.
        _device.Host.Options.PutDriver(_device);
        DropKvm();
        return error;
    }

    private Errno AttachCompat(IommufdContext context)
    {
        Errno error = context.GetCompatIoas(out uint id);
        return error != Errno.None ? error : _device.AttachIoas(ref id);
    }

    /// <summary>Last close, in the order that spec vfio-core §2.2 guarantees. The caller holds the device set's lock.</summary>
    /// <returns>The iommufd to let go of outside of the locks, or null.</returns>
    private IommufdContext? LastClose()
    {
        Debug.Assert(_device.DeviceSet!.Lock.IsHeldByCurrentThread, "The caller holds the device set's lock.");
        try
        {
            _device.OnClose();
            _device.Migration?.Reset();
        }
#pragma warning disable CA1031 // The author's code must not keep the device open: the file is closed whatever it does.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _device.Host.LogCloseFailed(_device, exception);
        }

        IommufdContext? context = _device.OpenContext;
        if (_device.OpenContainer is { } container)
        {
            LeaveContainer(container);
        }
        else if (_group is null || _group.Type != VfioGroupType.NoIommu)
        {
            _device.UnbindIommufd();
        }

        _device.OpenContext = null;
        _device.OpenDeviceId = 0;
        _device.IsOpenedByCharacterDevice = false;
        _device.PrecopyInfoV2 = false;
        return context;
    }

    /// <summary>The first open takes a reference on the virtual machine that its way of access was told of (<c>vfio_device_get_kvm_safe</c>).</summary>
    private void TakeKvm(IKvm? kvm) => _device.Kvm = kvm?.TryGet() == true ? kvm : null;

    private void DropKvm()
    {
        IKvm? kvm = _device.Kvm;
        _device.Kvm = null;
        kvm?.Put();
    }

    private void LeaveContainer(VfioContainer container)
    {
        container.Iommu?.UnregisterDevice(_device);
        _device.Dma.Connect(null);
        _device.OpenContainer = null;
    }
}
