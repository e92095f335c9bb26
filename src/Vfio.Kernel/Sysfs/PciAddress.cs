using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Vfio.Kernel;

/// <summary>Where a PCI function is: domain, bus, device, function.</summary>
/// <param name="Domain">The domain (segment); those of VMD and Hyper-V have more than 16 bits.</param>
/// <param name="Bus">The bus.</param>
/// <param name="Device">0 to 31.</param>
/// <param name="Function">0 to 7.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct PciAddress(uint Domain, byte Bus, byte Device, byte Function) : IComparable<PciAddress>
{
    /// <summary>True when the left one comes before the right one.</summary>
    public static bool operator <(PciAddress left, PciAddress right) => left.CompareTo(right) < 0;

    /// <summary>True when the left one comes after the right one.</summary>
    public static bool operator >(PciAddress left, PciAddress right) => left.CompareTo(right) > 0;

    /// <summary>True when the left one does not come after the right one.</summary>
    public static bool operator <=(PciAddress left, PciAddress right) => left.CompareTo(right) <= 0;

    /// <summary>True when the left one does not come before the right one.</summary>
    public static bool operator >=(PciAddress left, PciAddress right) => left.CompareTo(right) >= 0;

    /// <summary>Reads <c>0000:06:0d.0</c>, or <c>06:0d.0</c> in domain 0; hexadecimal digits of any case.</summary>
    /// <param name="text">The text.</param>
    /// <param name="address">The address.</param>
    /// <returns>False when the text is something else.</returns>
    public static bool TryParse([NotNullWhen(true)] string? text, out PciAddress address)
    {
        address = default;
        string[] parts = text?.Split(':') ?? [];
        if (parts.Length is not (2 or 3) || parts[^1].Split('.') is not [var deviceText, var functionText])
        {
            return false;
        }

        uint domain = 0;
        if ((parts.Length == 3 && !TryParsePart(parts[0], 8, uint.MaxValue, out domain))
            || !TryParsePart(parts[^2], 2, byte.MaxValue, out uint bus)
            || !TryParsePart(deviceText, 2, 31, out uint device)
            || !TryParsePart(functionText, 1, 7, out uint function))
        {
            return false;
        }

        address = new PciAddress(domain, (byte)bus, (byte)device, (byte)function);
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(PciAddress other) => (Domain, Bus, Device, Function).CompareTo((other.Domain, other.Bus, other.Device, other.Function));

    /// <summary>As sysfs names it: <c>0000:06:0d.0</c>.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Domain:x4}:{Bus:x2}:{Device:x2}.{Function:x1}");

    private static bool TryParsePart(string text, int digits, uint largest, out uint value)
    {
        value = 0;
        return text.Length <= digits
            && uint.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)
            && value <= largest;
    }
}
