using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <summary>No-IOMMU mode: the device takes physical addresses, which nothing here gives out.</summary>
/// <remarks>Owns the container.</remarks>
internal sealed class MissingAddressSpace(FileDescriptor container) : KernelAddressSpace
{
    public override FileDescriptor Descriptor => container;

    public override KernelAddressSpace Share() => throw new NotSupportedException("There is no address space to share.");

    public override Errno Map(ulong address, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        chosen = 0;
        return Errno.EOPNOTSUPP;
    }

    public override Errno Unmap(ulong iova, ulong length) => Errno.ENOENT;

    public override void Dispose() => container.Dispose();
}
