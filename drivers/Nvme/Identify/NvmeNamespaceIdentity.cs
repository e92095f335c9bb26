using System.Buffers.Binary;

namespace Vfio.Drivers.Nvme;

/// <summary>The Identify Namespace data structure (CNS 00h; NVM Command Set 1.0 figure 97), as far as the driver and its users want it.</summary>
public sealed record NvmeNamespaceIdentity
{
    /// <summary>Bytes of the structure.</summary>
    public const int Length = 4096;

    private const int FormatsOffset = 128;
    private const int MaximumFormats = 64;

    /// <summary>Size in blocks (NSZE).</summary>
    public ulong Size { get; init; }

    /// <summary>Capacity in blocks (NCAP), below <see cref="Size"/> when thinly provisioned.</summary>
    public ulong Capacity { get; init; }

    /// <summary>Blocks in use (NUSE).</summary>
    public ulong Utilization { get; init; }

    /// <summary>Features (NSFEAT); bit 0: thin provisioning.</summary>
    public byte Features { get; init; }

    /// <summary>The formats that it can have.</summary>
    public IReadOnlyList<NvmeLbaFormat> Formats { get; init; } = [];

    /// <summary>The number of the format that it has (FLBAS).</summary>
    public int FormatIndex { get; init; }

    /// <summary>Kind of end-to-end protection (DPS bits 2:0); 0: none.</summary>
    public int ProtectionType { get; init; }

    /// <summary>What deallocated blocks read as, and more (DLFEAT).</summary>
    public byte DeallocateFeatures { get; init; }

    /// <summary>Blocks between boundaries that transfers had better not cross (NOIOB); 0: not reported.</summary>
    public ushort OptimalBoundary { get; init; }

    /// <summary>Bytes of the namespace (NVMCAP); 0: not reported.</summary>
    public UInt128 CapacityInBytes { get; init; }

    /// <summary>Whether it is write protected now (NSATTR bit 0).</summary>
    public bool IsWriteProtected { get; init; }

    /// <summary>Globally unique identifier (NGUID), 32 hexadecimal digits; null when there is none.</summary>
    public string? GloballyUniqueId { get; init; }

    /// <summary>IEEE extended unique identifier (EUI64), 16 hexadecimal digits; null when there is none.</summary>
    public string? ExtendedUniqueId { get; init; }

    /// <summary>The format that it has; one without a block size when the device names one that it does not list.</summary>
    public NvmeLbaFormat Format => FormatIndex < Formats.Count ? Formats[FormatIndex] : default;

    /// <summary>Decodes the structure.</summary>
    /// <param name="data">Its <see cref="Length"/> bytes.</param>
    /// <returns>The fields.</returns>
    public static NvmeNamespaceIdentity Parse(ReadOnlySpan<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(data.Length, Length, nameof(data));
        NvmeLbaFormat[] formats = new NvmeLbaFormat[Math.Min(data[25] + 1, MaximumFormats)];
        for (int i = 0; i < formats.Length; i++)
        {
            uint value = BinaryPrimitives.ReadUInt32LittleEndian(data[(FormatsOffset + (i * 4))..]);
            formats[i] = new NvmeLbaFormat((byte)(value >> 16), (ushort)value, (byte)(value >> 24 & 3));
        }

        return new NvmeNamespaceIdentity
        {
            Size = BinaryPrimitives.ReadUInt64LittleEndian(data),
            Capacity = BinaryPrimitives.ReadUInt64LittleEndian(data[8..]),
            Utilization = BinaryPrimitives.ReadUInt64LittleEndian(data[16..]),
            Features = data[24],
            Formats = formats,

            // Bits 6:5 count only where there are more than 16 formats (figure 97, FLBAS).
            FormatIndex = (data[26] & 0xF) | (formats.Length > 16 ? (data[26] >> 5 & 3) << 4 : 0),
            ProtectionType = data[29] & 7,
            DeallocateFeatures = data[33],
            OptimalBoundary = BinaryPrimitives.ReadUInt16LittleEndian(data[46..]),
            CapacityInBytes = BinaryPrimitives.ReadUInt128LittleEndian(data[48..]),
            IsWriteProtected = (data[99] & 1) != 0,
            GloballyUniqueId = Hex(data[104..120]),
            ExtendedUniqueId = Hex(data[120..128]),
        };
    }

    internal static string? Hex(ReadOnlySpan<byte> bytes) => bytes.ContainsAnyExcept((byte)0) ? Convert.ToHexStringLower(bytes) : null;
}
