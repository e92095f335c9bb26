using System.Numerics;

namespace Vfio;

/// <summary>The shape of a bitmap of pages that a user supplies.</summary>
/// <param name="Unit">Bytes that one bit stands for: the smallest page size of the container.</param>
/// <param name="Size">Length of the bitmap in bytes, a multiple of 8; at most 256 MiB.</param>
public readonly record struct Type1Bitmap(ulong Unit, ulong Size)
{
    internal const ulong MaximumSize = 256 << 20;

    /// <summary>Whether it can hold a range (<c>verify_bitmap_size</c>).</summary>
    internal bool IsSufficient(ulong length)
    {
        if (Unit == 0 || Size is 0 or > MaximumSize)
        {
            return false;
        }

        ulong pages = length >> BitOperations.TrailingZeroCount(Unit);
        return pages != 0 && Size >= ((pages / 64) + (pages % 64 == 0 ? 0u : 1u)) * 8;
    }
}
