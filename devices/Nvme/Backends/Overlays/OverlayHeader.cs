using System.Buffers.Binary;

namespace Vfio.Devices.Nvme;

/// <summary>
/// The first 4096 bytes of an overlay file, little-endian: at 0 the magic <c>VFIOOVL1</c>, at 8 the logarithm of a cluster's bytes (16, four bytes), at 16 the length
/// of the base, at 24 where the bitmap begins (4096), at 32 where the clusters begin, at 40 a sum over the first 40 bytes; the rest are zeros.
/// </summary>
internal static class OverlayHeader
{
    public const int Length = 4096;

    /// <summary>Logarithm of the bytes of a cluster: that of a region, so that a region's lock is its cluster's.</summary>
    public const int ClusterShift = BlockLocks.RegionShift;

    public const int ClusterLength = 1 << ClusterShift;

    /// <summary>Bytes of the bitmap that are written together.</summary>
    public const int PageLength = 4096;

    /// <summary>The longest base: its bitmap takes 128 MiB of memory, twice.</summary>
    public const ulong MaxBase = 64UL << 40;

    private const ulong Magic = 0x314C564F4F494656;
    private const int SumOffset = 40;

    public static ulong Clusters(ulong baseLength) => (baseLength + ClusterLength - 1) >> ClusterShift;

    /// <summary>Bytes of the bitmap, in whole pages.</summary>
    public static ulong BitmapLength(ulong baseLength) => (((Clusters(baseLength) + 7) / 8) + PageLength - 1) & ~(ulong)(PageLength - 1);

    /// <summary>Where the clusters begin: at a whole one.</summary>
    public static ulong DataOffset(ulong baseLength) => (Length + BitmapLength(baseLength) + ClusterLength - 1) & ~(ulong)(ClusterLength - 1);

    /// <summary>Bytes of the whole file.</summary>
    public static ulong FileLength(ulong baseLength) => DataOffset(baseLength) + (Clusters(baseLength) << ClusterShift);

    public static void Write(Span<byte> header, ulong baseLength)
    {
        header.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(header, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], ClusterShift);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], baseLength);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], Length);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], DataOffset(baseLength));
        BinaryPrimitives.WriteUInt64LittleEndian(header[SumOffset..], Sum(header[..SumOffset]));
    }

    /// <summary>What is wrong with a header.</summary>
    /// <returns>A clause; null when it is that of an overlay of a base of this length.</returns>
    public static string? FindMistake(ReadOnlySpan<byte> header, ulong baseLength)
    {
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
        return BinaryPrimitives.ReadUInt64LittleEndian(header) != Magic ? "it is no overlay of this program"
            : BinaryPrimitives.ReadUInt64LittleEndian(header[SumOffset..]) != Sum(header[..SumOffset]) || BinaryPrimitives.ReadUInt32LittleEndian(header[8..]) != ClusterShift
                || BinaryPrimitives.ReadUInt64LittleEndian(header[24..]) != Length || BinaryPrimitives.ReadUInt64LittleEndian(header[32..]) != DataOffset(length) ? "its header is damaged, or of another version"
            : length != baseLength ? $"it was made for a base of {length} bytes, and this one has {baseLength}"
            : null;
    }

    /// <summary>FNV-1a: finds damage, and nothing else is asked of it.</summary>
    private static ulong Sum(ReadOnlySpan<byte> bytes)
    {
        ulong sum = 0xcbf29ce484222325;
        foreach (byte value in bytes)
        {
            sum = (sum ^ value) * 0x100000001b3;
        }

        return sum;
    }
}
