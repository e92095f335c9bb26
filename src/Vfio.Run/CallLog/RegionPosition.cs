using System.Globalization;
using System.Text;

namespace Vfio.Run;

/// <summary>A position in a device's file, told as its region.</summary>
internal static class RegionPosition
{
    private static readonly string[] s_names = ["bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "rom", "config", "vga"];

    /// <summary>Writes <c>bar0+0x10</c> for a device's file, and the number for others.</summary>
    public static void Write(StringBuilder text, OpenFile file, ulong position)
    {
        if (file.Device is null)
        {
            text.Append(position);
            return;
        }

        uint index = PciLayout.Region(position);
        text.Append(index < s_names.Length ? s_names[index] : $"region{index}").Append(CultureInfo.InvariantCulture, $"+0x{PciLayout.Offset(position):x}");
    }
}
