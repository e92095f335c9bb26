namespace Vfio.Drivers.Nvme;

/// <summary>The Namespace Identification Descriptor list (CNS 03h; Base 2.0 figure 278).</summary>
public sealed record NvmeNamespaceDescriptors
{
    private const int HeaderLength = 4;

    /// <summary>EUI64, 16 hexadecimal digits, or null.</summary>
    public string? ExtendedUniqueId { get; init; }

    /// <summary>NGUID, 32 hexadecimal digits, or null.</summary>
    public string? GloballyUniqueId { get; init; }

    /// <summary>UUID, or null.</summary>
    public Guid? Uuid { get; init; }

    /// <summary>Command set identifier (CSI): 0 NVM, 1 key value, 2 zoned; null when not reported.</summary>
    public byte? CommandSet { get; init; }

    /// <summary>Decodes the list; it ends at a length of 0, at what does not fit, and at the end of the data.</summary>
    /// <param name="data">The list.</param>
    /// <returns>What is in it; of two descriptors of a type the first counts.</returns>
    public static NvmeNamespaceDescriptors Parse(ReadOnlySpan<byte> data)
    {
        NvmeNamespaceDescriptors result = new();
        while (data.Length > HeaderLength)
        {
            int length = data[1];
            if (length == 0 || length > data.Length - HeaderLength)
            {
                break;
            }

            ReadOnlySpan<byte> value = data.Slice(HeaderLength, length);
            result = (data[0], length) switch
            {
                (1, 8) => result with { ExtendedUniqueId = result.ExtendedUniqueId ?? NvmeNamespaceIdentity.Hex(value) },
                (2, 16) => result with { GloballyUniqueId = result.GloballyUniqueId ?? NvmeNamespaceIdentity.Hex(value) },
                (3, 16) => result with { Uuid = result.Uuid ?? new Guid(value, bigEndian: true) },
                (4, 1) => result with { CommandSet = result.CommandSet ?? value[0] },
                _ => result,
            };
            data = data[(HeaderLength + length)..];
        }

        return result;
    }
}
