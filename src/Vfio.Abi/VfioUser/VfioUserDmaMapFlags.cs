namespace Vfio.Abi;

/// <summary>The <c>flags</c> of <see cref="vfio_user_dma_map"/>.</summary>
[Flags]
public enum VfioUserDmaMapFlags : uint
{
    None = 0,
    Readable = 1,
    Writeable = 2,

    /// <summary>Extension of libvfio-user: the server is to map the descriptor.</summary>
    Mmap = 4,

    /// <summary>Extension of libvfio-user: the server is to use reads and writes on the descriptor.</summary>
    FileIo = 8,
}
