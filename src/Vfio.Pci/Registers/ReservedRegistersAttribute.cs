namespace Vfio.Pci;

/// <summary>Declares bytes of a register file that read zero and ignore writes of any width, silently.</summary>
/// <param name="offset">Offset in the block.</param>
/// <param name="length">Number of bytes.</param>
/// <param name="name">A name for the documentation: why they are reserved.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true, Inherited = false)]
public sealed class ReservedRegistersAttribute(long offset, long length, string name = "reserved") : Attribute
{
    /// <summary>Offset in the block.</summary>
    public long Offset { get; } = offset;

    /// <summary>Number of bytes.</summary>
    public long Length { get; } = length;

    /// <summary>A name for the documentation.</summary>
    public string Name { get; } = name;
}
