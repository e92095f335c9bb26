using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>Page faults that are delivered and answered together.</summary>
internal sealed class FaultGroup(DeviceAttachment attachment, uint deviceId, PageFault[] faults, Action<PageResponse> respond)
{
    public DeviceAttachment Attachment { get; } = attachment;

    public int Count => faults.Length;

    /// <summary>The user's handle on the group once it was delivered.</summary>
    public uint Cookie { get; set; }

    public Action<PageResponse> Respond { get; } = respond;

    public iommu_hwpt_pgfault Record(int index)
    {
        PageFault fault = faults[index];
        return new iommu_hwpt_pgfault
        {
            flags = (fault.Pasid != 0 ? IommufdUapi.IOMMU_PGFAULT_FLAGS_PASID_VALID : 0)
                | (index == faults.Length - 1 ? IommufdUapi.IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0),
            dev_id = deviceId,
            pasid = fault.Pasid,
            grpid = fault.GroupId,
            perm = fault.Permissions,
            addr = fault.Address,
            cookie = Cookie,
        };
    }
}
