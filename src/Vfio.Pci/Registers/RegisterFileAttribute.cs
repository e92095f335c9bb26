namespace Vfio.Pci;

/// <summary>
/// Makes a partial class a register file: its partial properties with <see cref="RegisterAttribute"/> and <see cref="FieldAttribute"/> are the
/// registers, and the rest of a <see cref="RegisterFile"/> is generated at compile time. <c>docs/registers.md</c> has the whole language.
/// </summary>
/// <param name="name">The block's name in logs, in the documentation, and in front of the names of the C header: <c>edu</c>.</param>
/// <example>
/// <code>
/// [RegisterFile("timer", Size = 0x20)]
/// public sealed partial class TimerRegisters
/// {
///     [Register(0x00, Access = RegisterAccess.ReadOnly, Reset = 0x7173_0001)]
///     public partial uint Identification { get; }
///
///     [Register(0x04, AfterWrite = nameof(Restart))]
///     public partial uint Control { get; set; }
///
///     [Field(nameof(Control), 0)]
///     public partial bool Enabled { get; set; }
/// }
/// </code>
/// </example>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class RegisterFileAttribute(string name) : Attribute
{
    /// <summary>The block's name.</summary>
    public string Name { get; } = name;

    /// <summary>The block's extent in bytes: at least up to the end of its last register, at most 256 MiB.</summary>
    public long Size { get; set; }

    /// <summary>
    /// The version of the saved state, from 1. Raise it when registers are added, and give those <see cref="RegisterAttribute.Since"/>: state of
    /// an older version is then restored with their reset values.
    /// </summary>
    public int Version { get; set; } = 1;
}
