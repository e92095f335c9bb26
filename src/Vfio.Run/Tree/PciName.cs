using System.Globalization;

namespace Vfio.Run;

/// <summary>Where a function stands: domain, bus, device and function.</summary>
/// <param name="Domain">The domain.</param>
/// <param name="Bus">The bus.</param>
/// <param name="Device">The device, 0 to 31.</param>
/// <param name="Function">The function, 0 to 7.</param>
public readonly record struct PciName(int Domain, int Bus, int Device, int Function)
{
    /// <summary>Reads a name as <c>0000:06:0d.0</c>, <c>06:0d.0</c>.</summary>
    /// <param name="text">The text.</param>
    /// <param name="name">The name.</param>
    /// <returns>Whether it is one.</returns>
    public static bool TryParse(string? text, out PciName name)
    {
        name = default;
        string[] parts = (text ?? string.Empty).Split(':');
        if (parts.Length is not (2 or 3) || parts[^1].Split('.') is not [string device, string function])
        {
            return false;
        }

        if (!TryHex(parts.Length == 3 ? parts[0] : "0", 0xFFFF, out int domain) || !TryHex(parts[^2], 0xFF, out int bus)
            || !TryHex(device, 31, out int number) || !TryHex(function, 7, out int part))
        {
            return false;
        }

        name = new PciName(domain, bus, number, part);
        return true;
    }

    /// <summary>The place that is further by a number of functions (the routing id and an offset).</summary>
    internal PciName Offset(int functions)
    {
        int id = ((Bus << 8) | (Device << 3) | Function) + functions;
        return new PciName(Domain, id >> 8, (id >> 3) & 31, id & 7);
    }

    /// <summary>The name as sysfs writes it.</summary>
    /// <returns>Domain, bus, device and function.</returns>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Domain:x4}:{Bus:x2}:{Device:x2}.{Function:x}");

    private static bool TryHex(string text, int most, out int value)
        => int.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && value <= most && text.Length <= 4;
}
