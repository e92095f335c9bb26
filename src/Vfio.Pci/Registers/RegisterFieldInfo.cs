namespace Vfio.Pci;

/// <summary>One field of a <see cref="RegisterInfo"/>.</summary>
public sealed class RegisterFieldInfo
{
    /// <summary>The datasheet's name.</summary>
    public required string Name { get; init; }

    /// <summary>The lowest bit.</summary>
    public required int Low { get; init; }

    /// <summary>The number of bits.</summary>
    public required int Bits { get; init; }

    /// <summary>What accesses do to the field.</summary>
    public required RegisterAccess Access { get; init; }

    /// <summary>The names of its values, where its type is an enum.</summary>
    public IReadOnlyList<KeyValuePair<ulong, string>> Values { get; init; } = [];

    /// <summary>Its value in a register.</summary>
    /// <param name="register">The register's content.</param>
    /// <returns>The field, counted from its lowest bit.</returns>
    public ulong Extract(ulong register) => (register >> Low) & (Bits == 64 ? ulong.MaxValue : (1UL << Bits) - 1);

    /// <summary>Names a value.</summary>
    /// <param name="value">The field's value.</param>
    /// <returns>The name, or null when it has none.</returns>
    public string? NameOf(ulong value)
    {
        foreach ((ulong known, string name) in Values)
        {
            if (known == value)
            {
                return name;
            }
        }

        return null;
    }
}
