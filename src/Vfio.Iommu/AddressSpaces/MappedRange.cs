using System.Runtime.CompilerServices;

namespace Vfio.Iommu;

/// <summary>What a look-up needs to know of an area whose memory is at a place of this process, or of none: the default value.</summary>
/// <remarks>It is filled in field by field: a copy of what was just written in parts would wait for them.</remarks>
internal struct MappedRange
{
    /// <summary>First address.</summary>
    public ulong Start;

    /// <summary>Last address.</summary>
    public ulong Last;

    /// <summary>Where the first byte is, or 0 when the memory can only be copied, or is elsewhere from time to time.</summary>
    public nint Pointer;

    /// <summary>What devices may do there.</summary>
    public DmaAccess Rights;

    /// <summary>The place of a range, or 0 when it is not inside, or may not be used that way.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly nint Find(ulong iova, int length, DmaAccess access)
    {
        // Below the start the offset wraps, and is past the end.
        ulong offset = iova - Start;
        ulong longest = Last - Start;
        return Pointer != 0 && offset <= longest && length > 0 && (ulong)length - 1 <= longest - offset && (Rights & access) == access
            ? Pointer + (nint)offset
            : 0;
    }
}
