namespace Vfio.Abi;

/// <summary>Numbers of the vfio-user protocol: its version, and what holds when a peer does not say otherwise.</summary>
public static class VfioUserWire
{
    /// <summary>The only major version there is.</summary>
    public const ushort VersionMajor = 0;

    /// <summary>The newest minor version.</summary>
    public const ushort VersionMinor = 2;

    /// <summary>Bytes of <see cref="VfioUserHeader"/>.</summary>
    public const int HeaderSize = 16;

    /// <summary>Most descriptors in one message to a peer that does not announce <c>max_msg_fds</c>.</summary>
    public const int DefaultMaxMessageFds = 1;

    /// <summary>Most data bytes in one message to a peer that does not announce <c>max_data_xfer_size</c>.</summary>
    public const int DefaultMaxDataTransferSize = 1048576;

    /// <summary>Most mappings at a time with a peer that does not announce <c>max_dma_maps</c>.</summary>
    public const int DefaultMaxDmaMaps = 65535;

    /// <summary>Page sizes of a peer that does not announce <c>pgsizes</c>.</summary>
    public const ulong DefaultPageSizes = 4096;

    /// <summary>Largest legacy dirty bitmap, in bytes, of a peer that does not announce <c>migration.max_bitmap_size</c>.</summary>
    public const ulong DefaultMaxBitmapSize = 256UL << 20;

    /// <summary>The <c>fd_index</c> of an entry without a descriptor.</summary>
    public const uint NoFdIndex = uint.MaxValue;
}
