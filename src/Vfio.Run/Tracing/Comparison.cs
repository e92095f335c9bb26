using System.Numerics;

namespace Vfio.Run;

/// <summary>The flags that a comparison leaves (Intel SDM 1 §3.4.3.1).</summary>
internal static class Comparison
{
    /// <summary>CF, PF, AF, ZF, SF and OF of a subtraction.</summary>
    /// <param name="left">What is subtracted from; bits above its size are not looked at.</param>
    /// <param name="right">What is subtracted.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    internal static ulong Flags(ulong left, ulong right, int size)
    {
        int unused = 64 - (size * 8);
        left = left << unused >> unused;
        right = right << unused >> unused;
        ulong difference = (left - right) << unused >> unused;
        ulong sign = 1UL << ((size * 8) - 1);
        ulong flags = left < right ? 1UL : 0;
        flags |= (BitOperations.PopCount(difference & 0xFF) & 1) == 0 ? 0x4UL : 0;
        flags |= (left ^ right ^ difference) & 0x10;
        flags |= difference == 0 ? 0x40UL : 0;
        flags |= (difference & sign) != 0 ? 0x80UL : 0;
        flags |= ((left ^ right) & (left ^ difference) & sign) != 0 ? 0x800UL : 0;
        return flags;
    }
}
