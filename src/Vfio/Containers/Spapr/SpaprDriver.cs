using Vfio.Abi;

namespace Vfio;

/// <summary>The driver of <see cref="SpaprIommu"/>, in its versions 1 (type 2) and 2 (type 7).</summary>
/// <remarks>
/// A host of a pSeries platform registers it by <see cref="VfioHost.RegisterIommuDriver"/>; other hosts have no use for it, and their containers
/// say that there is no such type (<c>vfio_iommu_spapr_tce</c>).
/// </remarks>
public sealed class SpaprDriver : VfioIommuDriver
{
    private readonly VfioHost _host;

    /// <summary>Makes the driver for one host.</summary>
    /// <param name="host">The host.</param>
    /// <param name="handlesErrors">Whether the platform handles errors by endpoints (EEH).</param>
    public SpaprDriver(VfioHost host, bool handlesErrors = true)
    {
        _host = host;
        HandlesErrors = handlesErrors;
    }

    /// <inheritdoc/>
    public override string Name => "spapr tce";

    /// <summary>Whether the platform handles errors by endpoints (EEH).</summary>
    public bool HandlesErrors { get; }

    internal SpaprMemoryRegistry Memory { get; } = new();

    /// <inheritdoc/>
    public override int CheckExtension(uint extension) => extension switch
    {
        VfioUapi.VFIO_SPAPR_TCE_IOMMU or VfioUapi.VFIO_SPAPR_TCE_v2_IOMMU => 1,
        VfioUapi.VFIO_EEH => HandlesErrors ? 1 : 0,
        _ => 0,
    };

    /// <inheritdoc/>
    public override Errno Open(uint type, out VfioIommu? iommu)
    {
        iommu = type switch
        {
            VfioUapi.VFIO_SPAPR_TCE_IOMMU => new SpaprIommu(_host, this, isVersion2: false),
            VfioUapi.VFIO_SPAPR_TCE_v2_IOMMU => new SpaprIommu(_host, this, isVersion2: true),
            _ => null,
        };
        return iommu is null ? Errno.EINVAL : Errno.None;
    }
}
