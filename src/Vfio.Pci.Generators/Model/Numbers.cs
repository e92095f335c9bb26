using System.Globalization;

namespace Vfio.Pci.Generators.Model;

/// <summary>Numbers and their text.</summary>
internal static class Numbers
{
    /// <summary>That many low bits set.</summary>
    public static ulong Ones(int bits) => bits >= 64 ? ulong.MaxValue : (1UL << bits) - 1;

    public static string Hex(long value) => Hex((ulong)value);

    public static string Hex(ulong value) => "0x" + value.ToString("X", CultureInfo.InvariantCulture);

    /// <summary>With two digits at least, as offsets are written.</summary>
    public static string Offset(long value) => "0x" + value.ToString("X2", CultureInfo.InvariantCulture);

    public static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
