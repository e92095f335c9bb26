using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio;

/// <summary>A region as a user sees it: its information and what its capabilities say.</summary>
public sealed class RegionDescription
{
    private const int HeaderSize = 8;
    private const int MaximumAreas = 64;

    private RegionDescription(RegionInfo info, IReadOnlyList<SparseArea> mappableAreas, bool hasSparseAreas, bool isMsixMappable)
    {
        Info = info;
        MappableAreas = mappableAreas;
        HasSparseAreas = hasSparseAreas;
        IsMsixMappable = isMsixMappable;
    }

    /// <summary>Flags, size and position.</summary>
    public RegionInfo Info { get; }

    /// <summary>The region's index.</summary>
    public uint Index => Info.Index;

    /// <summary>Size in bytes; 0 when the region does not exist.</summary>
    public ulong Size => Info.Size;

    /// <summary>The areas that can be mapped: the sparse ones, or the whole region, or none.</summary>
    public IReadOnlyList<SparseArea> MappableAreas { get; }

    /// <summary>Whether only the listed areas may be mapped.</summary>
    public bool HasSparseAreas { get; }

    /// <summary>Whether the page with the MSI-X table may be mapped too.</summary>
    public bool IsMsixMappable { get; }

    /// <summary>Whether a part lies in one of <see cref="MappableAreas"/>.</summary>
    /// <param name="offset">Where it starts, in bytes.</param>
    /// <param name="length">Its length in bytes.</param>
    public bool CanMap(ulong offset, ulong length)
        => MappableAreas.Any(area => offset >= area.Offset && offset - area.Offset <= area.Size && length <= area.Size - (offset - area.Offset));

    /// <summary>Reads a description out of an INFO structure that may come from a hostile peer.</summary>
    /// <param name="info">The fixed part, decoded.</param>
    /// <param name="structure">The structure and its capabilities.</param>
    /// <param name="firstCapability">Offset of the first capability in the structure, or 0.</param>
    /// <param name="description">The description.</param>
    /// <returns>
    /// <see cref="Errno.None"/>, or <see cref="Errno.EPROTO"/> for a chain that leaves the structure or loops, for more than 64
    /// areas, and for areas outside the region.
    /// </returns>
    public static Errno TryParse(RegionInfo info, ReadOnlySpan<byte> structure, uint firstCapability, out RegionDescription? description)
    {
        description = null;
        List<SparseArea> areas = [];
        bool sparse = false;
        bool msix = false;
        uint at = (info.Flags & RegionFlags.Capabilities) != 0 ? firstCapability : 0;
        uint previous = 0;
        while (at != 0)
        {
            // Links must go forward, which rules out loops.
            if (at <= previous || at > structure.Length - HeaderSize)
            {
                return Errno.EPROTO;
            }

            ReadOnlySpan<byte> capability = structure[(int)at..];
            switch (BinaryPrimitives.ReadUInt16LittleEndian(capability))
            {
                case (ushort)VfioUapi.VFIO_REGION_INFO_CAP_SPARSE_MMAP:
                    sparse = true;
                    Errno error = ParseAreas(info, capability[HeaderSize..], areas);
                    if (error != Errno.None)
                    {
                        return error;
                    }

                    break;
                case (ushort)VfioUapi.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE:
                    msix = true;
                    break;
            }

            previous = at;
            at = BinaryPrimitives.ReadUInt32LittleEndian(capability[4..]);
        }

        if ((info.Flags & RegionFlags.Map) == 0)
        {
            areas.Clear();
        }
        else if (!sparse)
        {
            areas.Add(new SparseArea(0, info.Size));
        }

        description = new RegionDescription(info, areas, sparse, msix);
        return Errno.None;
    }

    private static Errno ParseAreas(RegionInfo info, ReadOnlySpan<byte> body, List<SparseArea> areas)
    {
        if (body.Length < 8)
        {
            return Errno.EPROTO;
        }

        uint count = BinaryPrimitives.ReadUInt32LittleEndian(body);
        body = body[8..];
        if (count > MaximumAreas || body.Length < count * 16)
        {
            return Errno.EPROTO;
        }

        for (int i = 0; i < (int)count; i++)
        {
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(body[(i * 16)..]);
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(body[((i * 16) + 8)..]);
            if (size == 0)
            {
                continue;
            }

            if (offset > info.Size || size > info.Size - offset)
            {
                return Errno.EPROTO;
            }

            areas.Add(new SparseArea(offset, size));
        }

        return Errno.None;
    }
}
