namespace Vfio.Devices.Nvme;

/// <summary>How a namespace's bytes are divided into blocks: what Format NVM sets (NVM Command Set 1.0 §2.1.3, §5.2). Never changes; a format makes another.</summary>
internal sealed class BlockFormat
{
    /// <summary>Bytes of metadata of the formats that have any: those of protection information.</summary>
    public const int TupleLength = 8;

    /// <summary>LBA formats without metadata.</summary>
    public const int PlainCount = 2;

    private const int Count = 4;

    private BlockFormat(int index, bool isExtended, int protection, bool isProtectionFirst, ulong length)
    {
        Index = index;
        BlockShift = Shift(index);
        MetadataLength = Metadata(index);
        IsExtended = isExtended && MetadataLength != 0;
        Protection = protection;
        IsProtectionFirst = isProtectionFirst && protection != 0;
        Blocks = length >> BlockShift;
    }

    /// <summary>Its number among the LBA formats.</summary>
    public int Index { get; }

    /// <summary>Logarithm of the bytes of a block's data.</summary>
    public int BlockShift { get; }

    /// <summary>Bytes of a block's data.</summary>
    public int BlockLength => 1 << BlockShift;

    /// <summary>Bytes of a block's metadata: 0 or <see cref="TupleLength"/>.</summary>
    public int MetadataLength { get; }

    /// <summary>Whether the host has metadata behind each block's data, instead of in a buffer of its own.</summary>
    public bool IsExtended { get; }

    /// <summary>Type of protection information: 0 none, 1 to 3.</summary>
    public int Protection { get; }

    /// <summary>PIP: whether protection information is at the start of the metadata. With 8 bytes it is all of them.</summary>
    public bool IsProtectionFirst { get; }

    /// <summary>Number of blocks.</summary>
    public ulong Blocks { get; }

    /// <summary>FLBAS.</summary>
    public byte SizeField => (byte)(Index | (IsExtended ? 0x10 : 0));

    /// <summary>DPS.</summary>
    public byte ProtectionField => (byte)(Protection | (IsProtectionFirst ? 8 : 0));

    /// <summary>The reference tag of the block behind one with a given tag counts up, but for type 3.</summary>
    public bool CountsReferences => Protection is 1 or 2;

    /// <summary>How many LBA formats there are.</summary>
    /// <param name="hasMetadata">Whether there is where to keep metadata.</param>
    public static int SupportedCount(bool hasMetadata) => hasMetadata ? Count : PlainCount;

    /// <summary>Logarithm of the bytes of a block in an LBA format.</summary>
    public static int Shift(int index) => (index & 1) == 0 ? 9 : 12;

    /// <summary>Bytes of metadata in an LBA format.</summary>
    public static int Metadata(int index) => index < PlainCount ? 0 : TupleLength;

    /// <summary>The LBA format with these sizes.</summary>
    public static int IndexOf(int blockSize, int metadataSize) => (blockSize == 4096 ? 1 : 0) + (metadataSize != 0 ? PlainCount : 0);

    /// <summary>Makes a format.</summary>
    /// <param name="index">Number of the LBA format.</param>
    /// <param name="isExtended">Whether metadata is behind the data.</param>
    /// <param name="protection">Type of protection information.</param>
    /// <param name="isProtectionFirst">Whether it is at the start of the metadata.</param>
    /// <param name="length">Bytes of data that the namespace has.</param>
    /// <param name="hasMetadata">Whether there is where to keep metadata.</param>
    /// <returns>Null when there is no such format, or not a block of it.</returns>
    public static BlockFormat? TryCreate(int index, bool isExtended, int protection, bool isProtectionFirst, ulong length, bool hasMetadata)
    {
        if (index >= SupportedCount(hasMetadata) || protection > 3 || (protection != 0 && Metadata(index) == 0) || length >> Shift(index) == 0)
        {
            return null;
        }

        return new BlockFormat(index, isExtended, protection, isProtectionFirst, length);
    }
}
