namespace Vfio.Iommu;

/// <summary>Where a group's DMA with one PASID goes, and which of its devices asked for it. Guarded by the group's lock.</summary>
internal sealed class DeviceAttachment(HardwarePageTable pageTable)
{
    public HardwarePageTable PageTable { get; set; } = pageTable;

    public List<IommufdDevice> Devices { get; } = [];
}
