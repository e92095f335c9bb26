using Vfio.Abi;

namespace Vfio;

/// <summary>The driver of <see cref="Type1Iommu"/>, in its versions 1 and 2.</summary>
internal sealed class Type1Driver(VfioHost host) : VfioIommuDriver
{
    public override string Name => "type1";

    public override int CheckExtension(uint extension)
        => extension is VfioUapi.VFIO_TYPE1_IOMMU or VfioUapi.VFIO_TYPE1v2_IOMMU or VfioUapi.VFIO_UNMAP_ALL ? 1 : 0;

    public override Errno Open(uint type, out VfioIommu? iommu)
    {
        iommu = type switch
        {
            VfioUapi.VFIO_TYPE1_IOMMU => new Type1Iommu(host, isVersion2: false),
            VfioUapi.VFIO_TYPE1v2_IOMMU or VfioUapi.__VFIO_RESERVED_TYPE1_NESTING_IOMMU => new Type1Iommu(host, isVersion2: true),
            _ => null,
        };
        return iommu is null ? Errno.EINVAL : Errno.None;
    }
}
