using System.Runtime.CompilerServices;

namespace Vfio.Iommu;

/// <summary>What a look-up needs to know of an area whose memory is at a place of this process, or of none: the default value.</summary>
/// <param name="Start">First address.</param>
/// <param name="Last">Last address.</param>
/// <param name="Pointer">Where the first byte is, or 0 when the memory can only be copied, or is elsewhere from time to time.</param>
/// <param name="Rights">What devices may do there.</param>
internal readonly record struct MappedRange(ulong Start, ulong Last, nint Pointer, DmaAccess Rights)
{
    /// <summary>The place of a range, or 0 when it is not inside, or may not be used that way.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public nint Find(ulong iova, int length, DmaAccess access)
        => Pointer != 0 && iova >= Start && iova <= Last && length > 0 && (ulong)length - 1 <= Last - iova && (Rights & access) == access
            ? Pointer + (nint)(iova - Start)
            : 0;
}
