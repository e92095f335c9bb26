namespace Vfio.Iommu;

/// <summary>A device's place in a virtual machine: its number at a virtual IOMMU (iommufd's <c>iommufd_vdevice</c>).</summary>
/// <remarks>Goes with its device at the latest (spec iommufd §2.20).</remarks>
public sealed class VirtualDevice : IommufdObject
{
    internal VirtualDevice(VirtualIommu viommu, IommufdDevice device, ulong virtualId)
        : base(viommu.Context)
    {
        VirtualIommu = viommu;
        Device = device;
        VirtualId = virtualId;
    }

    /// <summary>The virtual IOMMU, which it keeps.</summary>
    public VirtualIommu VirtualIommu { get; }

    /// <summary>The device.</summary>
    public IommufdDevice Device { get; }

    /// <summary>The virtual machine's number for it, unique at its virtual IOMMU.</summary>
    public ulong VirtualId { get; }

    /// <summary>What the hardware keeps for it.</summary>
    internal IDisposable? State { get; set; }

    internal override void Destroyed()
    {
        State?.Dispose();
        VirtualIommu.Remove(this);
        Device.ClearVirtual(this);
        Context.Put(VirtualIommu);
    }
}
