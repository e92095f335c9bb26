namespace Vfio.Pci;

/// <summary>Makes a partial property a range of bits of a register of the same register file.</summary>
/// <remarks>
/// Its type is <see cref="bool"/> for one bit, an unsigned integer that is wide enough, an enum, of which all values must fit, or, for an
/// array of registers, a <see cref="FieldArray{T}"/> of the registers' type.
/// </remarks>
[AttributeUsage(AttributeTargets.Property)]
public sealed class FieldAttribute : Attribute
{
    /// <summary>Declares a field of one bit.</summary>
    /// <param name="register">The register's property: <c>nameof(Status)</c>.</param>
    /// <param name="bit">The bit, 0 the lowest.</param>
    public FieldAttribute(string register, int bit)
        : this(register, bit, bit)
    {
    }

    /// <summary>Declares a field of several bits.</summary>
    /// <param name="register">The register's property: <c>nameof(Status)</c>.</param>
    /// <param name="high">The highest bit, as in the datasheet's <c>[7:4]</c>.</param>
    /// <param name="low">The lowest bit.</param>
    public FieldAttribute(string register, int high, int low)
    {
        Register = register;
        High = high;
        Low = low;
    }

    /// <summary>The register's property.</summary>
    public string Register { get; }

    /// <summary>The highest bit.</summary>
    public int High { get; }

    /// <summary>The lowest bit.</summary>
    public int Low { get; }

    /// <summary>The datasheet's name; by default the property's name as words.</summary>
    public string? Name { get; set; }

    /// <summary>What the documentation says.</summary>
    public string Description { get; set; } = "";

    /// <summary>What accesses do to these bits; by default what the register says.</summary>
    public RegisterAccess Access { get; set; }

    /// <summary>Content after a reset, counted from the field's lowest bit.</summary>
    public ulong Reset { get; set; }
}
