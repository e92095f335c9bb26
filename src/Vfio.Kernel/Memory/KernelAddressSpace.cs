using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <summary>The addresses by which devices of the kernel's reach memory. Dispose of the last that shares it ends every mapping.</summary>
internal abstract class KernelAddressSpace : IDisposable
{
    /// <summary>The descriptor that devices or groups are attached to: an iommufd, or a container.</summary>
    public abstract FileDescriptor Descriptor { get; }

    /// <summary>The same address space for a further device, with a descriptor of its own.</summary>
    public abstract KernelAddressSpace Share();

    /// <summary>Maps memory of this process.</summary>
    /// <param name="address">The memory, which stays until <see cref="Unmap"/>; page aligned.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="access">What the device may do.</param>
    /// <param name="iova">The address wanted, or null.</param>
    /// <param name="chosen">The address.</param>
    public abstract Errno Map(ulong address, ulong length, DmaAccess access, ulong? iova, out ulong chosen);

    /// <summary>Unmaps what <see cref="Map"/> mapped.</summary>
    public abstract Errno Unmap(ulong iova, ulong length);

    public abstract void Dispose();
}
