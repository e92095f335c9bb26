namespace Vfio.Abi;

/// <summary>The <c>flags</c> of <see cref="vfio_user_dma_unmap"/>.</summary>
[Flags]
public enum VfioUserDmaUnmapFlags : uint
{
    None = 0,

    /// <summary>The reply is to carry the dirty pages of the range.</summary>
    GetDirtyBitmap = 1,

    /// <summary>Everything is to be unmapped; address and size are zero.</summary>
    UnmapAll = 2,
}
