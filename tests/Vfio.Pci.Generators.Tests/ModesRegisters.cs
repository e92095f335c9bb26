namespace Vfio.Pci.Generators.Tests;

/// <summary>A register of each mode, a mixed one, arrays, and every policy of widths: what the behaviour tests use.</summary>
[RegisterFile("modes", Size = 0x200, Version = 2)]
[ReservedRegisters(0x60, 0x10, "nothing")]
public sealed partial class ModesRegisters
{
    public List<string> Calls { get; } = [];

    [Register(0x00, Access = RegisterAccess.ReadOnly, Reset = 0xCAFE)]
    public partial uint Id { get; }

    [Register(0x04, Widths = RegisterWidths.All, Reset = 0x11223344)]
    public partial uint Value { get; set; }

    [Register(0x08, Access = RegisterAccess.WriteOnly, Widths = RegisterWidths.All, AfterWrite = nameof(Note))]
    public partial uint Command { get; set; }

    [Register(0x0C, Access = RegisterAccess.WriteOneToClear, Widths = RegisterWidths.Byte)]
    public partial uint Causes { get; set; }

    [Register(0x10, Access = RegisterAccess.WriteOneToSet)]
    public partial ushort Sets { get; set; }

    [Register(0x12, Access = RegisterAccess.WriteOneToToggle)]
    public partial ushort Toggles { get; set; }

    [Register(0x14, Access = RegisterAccess.ReadToClear, Widths = RegisterWidths.Byte)]
    public partial uint Events { get; set; }

    [Register(0x18, Widths = RegisterWidths.Dword)]
    public partial ulong Wide { get; set; }

    [Register(0x20, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend)]
    public partial ulong Whole { get; set; }

    [Register(0x28, Access = RegisterAccess.Unimplemented, Reset = 0x5A)]
    public partial uint Future { get; }

    [Register(0x2C)]
    public partial byte Small { get; set; }

    [Register(0x30, Name = "CC", Widths = RegisterWidths.Word, Description = "a mixed register")]
    public partial uint Mixed { get; set; }

    [Field(nameof(Mixed), 0, Name = "EN")]
    public partial bool Enabled { get; set; }

    [Field(nameof(Mixed), 6, 4, Name = "MODE", Reset = 2, Description = "what it does")]
    public partial Mode Mode { get; set; }

    [Field(nameof(Mixed), 8, Access = RegisterAccess.WriteOneToClear, Name = "ERR")]
    public partial bool Error { get; set; }

    [Field(nameof(Mixed), 9, Access = RegisterAccess.WriteOneToSet, Name = "SET")]
    public partial bool Set { get; set; }

    [Field(nameof(Mixed), 10, Access = RegisterAccess.WriteOneToToggle, Name = "TGL")]
    public partial bool Toggle { get; set; }

    [Field(nameof(Mixed), 11, Access = RegisterAccess.ReadToClear, Name = "EVT")]
    public partial bool Event { get; set; }

    [Field(nameof(Mixed), 12, Access = RegisterAccess.WriteOnly, Name = "GO")]
    public partial bool Go { get; set; }

    [Field(nameof(Mixed), 23, 16, Access = RegisterAccess.ReadOnly, Name = "LVL", Reset = 7)]
    public partial byte Level { get; set; }

    [Field(nameof(Mixed), 31, 24, Access = RegisterAccess.Reserved, Name = "RSVD")]
    private partial byte Unused { get; }

    [Register(0x38, BeforeRead = nameof(Doubled), AfterRead = nameof(NoteRead), BeforeWrite = nameof(Limit), AfterWrite = nameof(NoteWrite))]
    public partial uint Hooked { get; set; }

    [Register(0x100, Count = 8, Stride = 8, Reset = 3, AfterWrite = nameof(Ring))]
    public partial Span<uint> Tails { get; }

    [Register(0x104, Count = 8, Stride = 8, Access = RegisterAccess.ReadOnly, BeforeRead = nameof(Head))]
    public partial Span<uint> Heads { get; }

    [Register(0x180, Count = 4, Widths = RegisterWidths.Byte, Since = 2)]
    public partial Span<ushort> Table { get; }

    [Field(nameof(Table), 15, 8, Name = "HIGH")]
    public partial FieldArray<ushort> High { get; }

    [Field(nameof(Table), 0, Name = "LOW", Reset = 1)]
    public partial FieldArray<ushort> Low { get; }

    private static uint Doubled(uint content) => content * 2;

    private static uint Limit(uint value, uint old) => value == 0xDEAD ? old : Math.Min(value, 100);

    private static uint Head(int index) => (uint)index * 10;

    private void Note(uint value) => Calls.Add($"command {value:X}");

    private void NoteRead(uint value) => Calls.Add($"read {value}");

    private void NoteWrite(uint value, uint old) => Calls.Add($"write {old} -> {value}");

    private void Ring(int index, uint value) => Calls.Add($"ring {index} {value}");
}
