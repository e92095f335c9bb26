using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <summary>The addresses by which a device of the kernel's reaches memory. Dispose ends every mapping.</summary>
internal abstract class KernelAddressSpace : IDisposable
{
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
