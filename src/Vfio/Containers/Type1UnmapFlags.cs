using Vfio.Abi;

namespace Vfio;

/// <summary>What an unmap does.</summary>
[Flags]
public enum Type1UnmapFlags : uint
{
    /// <summary>Removes the mappings in a range.</summary>
    None = 0,

    /// <summary>Everything: address and size are 0.</summary>
    All = VfioUapi.VFIO_DMA_UNMAP_FLAG_ALL,

    /// <summary>Takes only the address of the memory away; the mappings stay.</summary>
    InvalidateAddress = VfioUapi.VFIO_DMA_UNMAP_FLAG_VADDR,
}
