using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Reflection;
using System.Text;

namespace Vfio.Run;

/// <summary>The names of the values of a field.</summary>
internal sealed class FieldSymbols
{
    private readonly (ulong Value, string Name)[] _symbols;
    private readonly bool _areFlags;

    private FieldSymbols(string field, (ulong Value, string Name)[] symbols, bool areFlags)
    {
        Field = field;
        _symbols = symbols;
        _areFlags = areFlags;
    }

    /// <summary>The field.</summary>
    public string Field { get; }

    /// <summary>Bits that can be set together, each with a name.</summary>
    /// <param name="constants">The class whose constants they are.</param>
    /// <param name="field">The field.</param>
    /// <param name="prefix">What the constants' names start with.</param>
    public static FieldSymbols Flags([DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields)] Type constants, string field, string prefix)
        => new(field, [.. Find(constants, prefix, string.Empty).Where(static symbol => ulong.IsPow2(symbol.Value)).DistinctBy(static symbol => symbol.Value)], areFlags: true);

    /// <summary>Values of which each has a name.</summary>
    /// <param name="constants">The class whose constants they are.</param>
    /// <param name="field">The field.</param>
    /// <param name="prefix">What the constants' names start with.</param>
    /// <param name="suffix">What they end with.</param>
    public static FieldSymbols Values([DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields)] Type constants, string field, string prefix, string suffix)
        => new(field, [.. Find(constants, prefix, suffix).DistinctBy(static symbol => symbol.Value)], areFlags: false);

    /// <summary>Some values by name.</summary>
    public static FieldSymbols Values(string field, params (ulong Value, string Name)[] symbols) => new(field, symbols, areFlags: false);

    /// <summary>Writes a value by its names, and what has none in hexadecimal.</summary>
    public void Write(StringBuilder text, ulong value)
    {
        if (!_areFlags)
        {
            string? name = Array.Find(_symbols, symbol => symbol.Value == value).Name;
            text.Append(name ?? value.ToString(CultureInfo.InvariantCulture));
            return;
        }

        int start = text.Length;
        foreach ((ulong bit, string name) in _symbols)
        {
            if ((value & bit) != 0)
            {
                text.Append(text.Length == start ? string.Empty : "|").Append(name);
                value &= ~bit;
            }
        }

        if (value != 0 || text.Length == start)
        {
            text.Append(text.Length == start ? string.Empty : "|").Append(value == 0 ? "0" : $"0x{value:x}");
        }
    }

    private static IEnumerable<(ulong Value, string Name)> Find(
        [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields)] Type constants, string prefix, string suffix)
    {
        foreach (FieldInfo field in constants.GetFields(BindingFlags.Public | BindingFlags.Static))
        {
            if (field.IsLiteral && field.Name.StartsWith(prefix, StringComparison.Ordinal) && field.Name.EndsWith(suffix, StringComparison.Ordinal)
                && field.GetRawConstantValue() is { } value and not string)
            {
                yield return (Convert.ToUInt64(value, CultureInfo.InvariantCulture), field.Name);
            }
        }
    }
}
