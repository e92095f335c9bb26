using System.Text;

namespace Vfio.Tool.Lspci;

/// <summary>The dump that <c>lspci -x</c> prints and <c>lspci -F</c> reads: sixteen bytes a line behind their offset.</summary>
internal static class HexDump
{
    private const int BytesOfALine = 16;

    public static string Format(ReadOnlySpan<byte> bytes)
    {
        StringBuilder text = new();
        for (int at = 0; at < bytes.Length; at += BytesOfALine)
        {
            text.Append($"{at:x2}:");
            foreach (byte value in bytes[at..Math.Min(at + BytesOfALine, bytes.Length)])
            {
                text.Append($" {value:x2}");
            }

            text.Append('\n');
        }

        return text.ToString();
    }
}
