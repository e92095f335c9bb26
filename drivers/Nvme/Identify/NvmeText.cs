using System.Text;

namespace Vfio.Drivers.Nvme;

/// <summary>Texts of a device's: ASCII, padded with spaces. What is not printable is replaced: it goes to terminals and logs.</summary>
internal static class NvmeText
{
    public static string Read(ReadOnlySpan<byte> field)
    {
        int end = field.IndexOf((byte)0);
        StringBuilder text = new(field.Length);
        foreach (byte letter in end < 0 ? field : field[..end])
        {
            text.Append(letter is >= 0x20 and < 0x7F ? (char)letter : '?');
        }

        return text.ToString().Trim();
    }
}
