namespace Vfio.Tool.Lspci;

/// <summary>The names of vendors, devices and classes, out of the list that pciutils installs; numbers where it has none.</summary>
internal sealed class PciNames
{
    private static readonly string[] s_places = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];
    private readonly string[] _lines;

    private PciNames(string[] lines) => _lines = lines;

    /// <summary>Reads the list of this machine; without one every name is a number.</summary>
    public static PciNames Load()
    {
        string? place = s_places.FirstOrDefault(File.Exists);
        return new PciNames(place is null ? [] : File.ReadAllLines(place));
    }

    /// <summary>Class and subclass in words, e.g. <c>Serial controller</c>.</summary>
    public string Class(byte baseClass, byte subClass)
    {
        int section = Find(0, $"C {baseClass:x2}  ", string.Empty);
        string? name = Name(Find(section, $"{subClass:x2}  ", "\t"));
        if (name is not null)
        {
            return name;
        }

        string? family = Name(section);
        return family is null ? $"Class {baseClass:x2}{subClass:x2}" : $"{family} [{baseClass:x2}{subClass:x2}]";
    }

    /// <summary>The programming interface in words, or null.</summary>
    public string? Interface(byte baseClass, byte subClass, byte programmingInterface)
        => Name(Find(Find(Find(0, $"C {baseClass:x2}  ", string.Empty), $"{subClass:x2}  ", "\t"), $"{programmingInterface:x2}  ", "\t\t"));

    /// <summary>Vendor and device in words.</summary>
    public string Device(ushort vendor, ushort device) => Join(vendor, device, DeviceName(vendor, device));

    /// <summary>The board's vendor and the board in words.</summary>
    public string Subsystem(ushort vendor, ushort device, ushort boardVendor, ushort board)
    {
        string? name = Name(Find(Find(Find(0, $"{vendor:x4}  ", string.Empty), $"{device:x4}  ", "\t"), $"{boardVendor:x4} {board:x4}  ", "\t\t"));
        // Many boards carry the ids of their chip.
        return Join(boardVendor, board, name ?? (boardVendor == vendor && board == device ? DeviceName(vendor, device) : null));
    }

    private string Join(ushort vendor, ushort device, string? name)
    {
        string? maker = Name(Find(0, $"{vendor:x4}  ", string.Empty));
        return maker is null ? $"Device {vendor:x4}:{device:x4}" : $"{maker} {name ?? $"Device {device:x4}"}";
    }

    private string? DeviceName(ushort vendor, ushort device) => Name(Find(Find(0, $"{vendor:x4}  ", string.Empty), $"{device:x4}  ", "\t"));

    /// <summary>The line with this key below a line of the level above: 1 more than its index, or 0 for none.</summary>
    private int Find(int parent, string key, string indent)
    {
        if (indent.Length > 0 && parent == 0)
        {
            return 0;
        }

        for (int i = parent; i < _lines.Length; i++)
        {
            string line = _lines[i];
            if (line.StartsWith(indent, StringComparison.Ordinal) && line.AsSpan(indent.Length).StartsWith(key, StringComparison.Ordinal))
            {
                return i + 1;
            }

            // The first line that stands less deep ends the list.
            if (indent.Length > 0 && line.Length > 0 && line[0] != '#' && !line.StartsWith(indent, StringComparison.Ordinal))
            {
                return 0;
            }
        }

        return 0;
    }

    private string? Name(int found)
    {
        if (found == 0)
        {
            return null;
        }

        string line = _lines[found - 1];
        int gap = line.IndexOf("  ", StringComparison.Ordinal);
        return line[(gap + 2)..];
    }
}
