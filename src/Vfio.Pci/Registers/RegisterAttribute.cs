namespace Vfio.Pci;

/// <summary>Makes a partial property of a <see cref="RegisterFileAttribute">register file</see> a register.</summary>
/// <remarks>
/// The property is the register's content, for the device; <see cref="Access"/> says what software can do with it. Its type is the width:
/// <see cref="byte"/>, <see cref="ushort"/>, <see cref="uint"/>, <see cref="ulong"/>; or a <see cref="Span{T}"/> of one of these for an array
/// of <see cref="Count"/> registers. A register with fields consists of them: bits in none read zero and ignore writes.
/// </remarks>
/// <param name="offset">Offset in the block in bytes, a multiple of the register's width.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class RegisterAttribute(long offset) : Attribute
{
    /// <summary>Offset in the block in bytes.</summary>
    public long Offset { get; } = offset;

    /// <summary>The datasheet's name; by default the property's name as words: <c>InterruptStatus</c> is <c>interrupt status</c>.</summary>
    public string? Name { get; set; }

    /// <summary>What the documentation says.</summary>
    public string Description { get; set; } = "";

    /// <summary>What accesses do, to the register or to those of its fields that do not say it themselves.</summary>
    public RegisterAccess Access { get; set; } = RegisterAccess.ReadWrite;

    /// <summary>Content after a reset; fields can state theirs instead.</summary>
    public ulong Reset { get; set; }

    /// <summary>Access widths besides the register's own.</summary>
    public RegisterWidths Widths { get; set; }

    /// <summary>What a narrower access means.</summary>
    public NarrowAccess Narrow { get; set; }

    /// <summary>How many equal registers there are; the property is a span then.</summary>
    public int Count { get; set; }

    /// <summary>Distance of the registers of an array in bytes, a multiple of their width; by default the width.</summary>
    public long Stride { get; set; }

    /// <summary>The first version of the saved state that has this register.</summary>
    public int Since { get; set; } = 1;

    /// <summary>
    /// A method that gives what is read instead of the content: <c>T M()</c> or <c>T M(T content)</c>, for arrays with a leading
    /// <c>int index</c>.
    /// </summary>
    public string? BeforeRead { get; set; }

    /// <summary>A method that runs after a read: <c>void M()</c> or <c>void M(T value)</c>, for arrays with a leading <c>int index</c>.</summary>
    public string? AfterRead { get; set; }

    /// <summary>
    /// A method that decides on the new content before it is stored: <c>T M(T value)</c> or <c>T M(T value, T old)</c>, for arrays with a
    /// leading <c>int index</c>. The value already obeys the access modes; returning the old one drops the write.
    /// </summary>
    public string? BeforeWrite { get; set; }

    /// <summary>
    /// A method that runs after a write: <c>void M()</c>, <c>void M(T value)</c> or <c>void M(T value, T old)</c> with the new and the old
    /// content, for arrays with a leading <c>int index</c>.
    /// </summary>
    public string? AfterWrite { get; set; }
}
