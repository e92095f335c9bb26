using Vfio.Abi;

namespace Vfio;

/// <summary>How memory is mapped into a container.</summary>
[Flags]
public enum Type1MapFlags : uint
{
    /// <summary>Nothing, which is refused.</summary>
    None = 0,

    /// <summary>Devices may read.</summary>
    Read = VfioUapi.VFIO_DMA_MAP_FLAG_READ,

    /// <summary>Devices may write.</summary>
    Write = VfioUapi.VFIO_DMA_MAP_FLAG_WRITE,

    /// <summary>Gives an existing mapping whose address was taken away a new one; excludes the others.</summary>
    UpdateAddress = VfioUapi.VFIO_DMA_MAP_FLAG_VADDR,
}
