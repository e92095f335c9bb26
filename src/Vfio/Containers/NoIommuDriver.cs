using Vfio.Abi;

namespace Vfio;

/// <summary>The driver for groups without IOMMU: it translates nothing, and a user can do nothing but open the devices.</summary>
/// <remarks><c>vfio_noiommu_ops</c>; spec vfio-core §5.2.</remarks>
internal sealed class NoIommuDriver(VfioHost host) : VfioIommuDriver
{
    public override string Name => "noiommu";

    public override bool ServesNoIommu => true;

    public override int CheckExtension(uint extension) => extension == VfioUapi.VFIO_NOIOMMU_IOMMU && host.Options.UnsafeNoIommu ? 1 : 0;

    public override Errno Open(uint type, out VfioIommu? iommu)
    {
        iommu = null;
        if (type != VfioUapi.VFIO_NOIOMMU_IOMMU)
        {
            return Errno.EINVAL;
        }

        if (!host.HasCapability(CallerCapabilities.RawIo))
        {
            return Errno.EPERM;
        }

        iommu = new Instance(this);
        return Errno.None;
    }

    private sealed class Instance(NoIommuDriver driver) : VfioIommu
    {
        public override int CheckExtension(uint extension) => driver.CheckExtension(extension);

        public override Errno AttachGroup(VfioGroup group) => Errno.None;

        public override void DetachGroup(VfioGroup group)
        {
        }

        public override void Release()
        {
        }
    }
}
