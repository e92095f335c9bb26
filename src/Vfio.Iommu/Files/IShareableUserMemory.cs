using Vfio.Iommu;

namespace Vfio;

/// <summary>A caller's memory of which some can be had in this process as well, so that devices reach it without the kernel copying for them.</summary>
public interface IShareableUserMemory : IUserMemory
{
    /// <summary>Finds what a range of addresses shows, once for each mapping of it for devices, which then has it until it is unmapped.</summary>
    /// <param name="address">The caller's address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="writable">Whether it will be written.</param>
    /// <returns>The memory, owned by the caller of this, with a pointer for every byte; null when some of the range can only be copied.</returns>
    MemorySource? TryShare(ulong address, ulong length, bool writable);
}
