using System.Globalization;

namespace Vfio.Devices.Nvme;

/// <summary>Numbers of bytes as people write them: 4096, 512K, 3M, 2G, 1T.</summary>
internal static class SizeText
{
    public static bool TryParse(string text, out ulong size)
    {
        int unit = text.Length == 0 ? -1 : "KMGT".IndexOf(text[^1], StringComparison.Ordinal);
        int shift = 10 * (unit + 1);
        bool isNumber = ulong.TryParse(unit < 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out size);
        bool fits = size <= ulong.MaxValue >> shift;
        size <<= shift;
        return isNumber && fits;
    }
}
