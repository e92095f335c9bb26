using System.Buffers.Binary;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Whether a division has a result.</summary>
internal static class Division
{
    /// <summary>True when the divisor is zero or the quotient has no room: the processor raises #DE (Intel SDM 2, DIV and IDIV).</summary>
    /// <param name="registers">With the dividend.</param>
    /// <param name="operand">The divisor, of 1, 2, 4 or 8 bytes.</param>
    /// <param name="isSigned">idiv.</param>
    internal static bool Overflows(ref ThreadRegisters registers, ReadOnlySpan<byte> operand, bool isSigned)
    {
        Span<byte> wide = stackalloc byte[8];
        wide.Clear();
        operand.CopyTo(wide);
        int bits = operand.Length * 8;
        int unused = 64 - bits;
        ulong divisor = BinaryPrimitives.ReadUInt64LittleEndian(wide);
        if (divisor == 0)
        {
            return true;
        }

        ulong low = registers.Rax << unused >> unused;
        ulong high = (bits == 8 ? registers.Rax >> 8 : registers.Rdx) << unused >> unused;
        if (!isSigned)
        {
            return high >= divisor;
        }

        Int128 dividend = bits == 64
            ? new Int128(high, low)
            : (Int128)((long)(((high << bits) | low) << (64 - (2 * bits))) >> (64 - (2 * bits)));
        Int128 by = (long)(divisor << unused) >> unused;
        if (by == -1)
        {
            return dividend == Int128.MinValue || -dividend > MaximumOf(bits) || -dividend < -MaximumOf(bits) - 1;
        }

        Int128 quotient = dividend / by;
        return quotient > MaximumOf(bits) || quotient < -MaximumOf(bits) - 1;
    }

    private static Int128 MaximumOf(int bits) => (Int128.One << (bits - 1)) - 1;
}
