using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>
/// The two sets of iommufd helpers (<c>vfio_iommufd_physical_*</c>, <c>vfio_iommufd_emulated_*</c>): a group device is bound as a device
/// behind its IOMMU, any other as an access. Spec iommufd §5. All run under the device set's lock.
/// </summary>
public abstract partial class VfioDevice
{
    private readonly SortedSet<uint> _pasids = [];
    private IommufdAccess? _access;
    private IommufdDevice? _bound;

    private bool IsPhysical => Group is { Type: VfioGroupType.Iommu };

    private Errno BindDefault(IommufdContext context, out uint deviceId)
    {
        deviceId = 0;
        if (IsPhysical)
        {
            Errno error = context.BindDevice(_parent!, Host.Options.AllowUnsafeInterrupts, out _bound);
            deviceId = _bound?.Id ?? 0;
            Dma.Connect(_bound);
            return error;
        }

        Errno created = context.CreateAccess(CanPin ? OnDmaUnmap : null, out _access);
        deviceId = _access?.Id ?? 0;
        Dma.Connect(_access);
        return created;
    }

    private void UnbindDefault()
    {
        if (_bound is { } bound)
        {
            foreach (uint pasid in _pasids)
            {
                bound.Detach(pasid);
            }

            bound.Detach();
            bound.Unbind();
        }

        _access?.Destroy();
        Dma.Connect(null);
        _pasids.Clear();
        _access = null;
        _bound = null;
    }

    private Errno AttachDefault(ref uint ptId)
    {
        if (_bound is { } bound)
        {
            return bound.GetPageTable() is null ? bound.Attach(ref ptId) : bound.Replace(ref ptId);
        }

        return _access?.AttachOrReplace(ptId) ?? Errno.EINVAL;
    }

    private void DetachDefault()
    {
        _bound?.Detach();
        _access?.Detach();
    }

    private Errno PasidAttachDefault(uint pasid, ref uint ptId)
    {
        if (_bound is not { } bound)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = _pasids.Contains(pasid) ? bound.Replace(ref ptId, pasid) : bound.Attach(ref ptId, pasid);
        if (error == Errno.None)
        {
            _pasids.Add(pasid);
        }

        return error;
    }

    private void PasidDetachDefault(uint pasid)
    {
        if (_pasids.Remove(pasid))
        {
            _bound?.Detach(pasid);
        }
    }
}
