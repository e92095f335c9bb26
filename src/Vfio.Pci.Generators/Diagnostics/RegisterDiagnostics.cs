using Microsoft.CodeAnalysis;

namespace Vfio.Pci.Generators.Diagnostics;

/// <summary>The mistakes that a declaration can have. <c>docs/registers.md</c> explains each.</summary>
internal static class RegisterDiagnostics
{
    public static readonly DiagnosticDescriptor NotPartial = Error("VFIO3001", "Class is not partial", "'{0}' must be partial, so that its registers can be generated");
    public static readonly DiagnosticDescriptor UnusableClass = Error("VFIO3002", "Class cannot be a register file", "'{0}' cannot be a register file: {1}");
    public static readonly DiagnosticDescriptor UnusableProperty = Error("VFIO3003", "Property cannot be a register or field", "'{0}' cannot be a register or field: {1}");
    public static readonly DiagnosticDescriptor RegisterType = Error("VFIO3004", "Type is not that of a register", "Register '{0}' has the type {1}; byte, ushort, uint, ulong, or a Span of one of these for an array, are accepted");
    public static readonly DiagnosticDescriptor Misaligned = Error("VFIO3005", "Register is not aligned", "Register '{0}' lies at {1}; its offset must be a multiple of its {2} bytes");
    public static readonly DiagnosticDescriptor Outside = Error("VFIO3006", "Register lies outside the block", "'{0}' lies at {1} to {2}, outside the block, which has {3} bytes; make Size larger or move it");
    public static readonly DiagnosticDescriptor Overlap = Error("VFIO3007", "Registers overlap", "'{0}' overlaps '{1}' at {2}; each byte may belong to one register");
    public static readonly DiagnosticDescriptor Access = Error("VFIO3008", "Access mode cannot be used here", "'{0}' has the access {1}: {2}");
    public static readonly DiagnosticDescriptor Widths = Error("VFIO3009", "Access widths cannot be used here", "Register '{0}' has Widths or Narrow that it cannot have: {1}");
    public static readonly DiagnosticDescriptor Array = Error("VFIO3010", "Array is not declared properly", "Register '{0}': {1}");
    public static readonly DiagnosticDescriptor FieldRange = Error("VFIO3011", "Field lies outside the register", "Field '{0}' has the bits {1} to {2}; the register '{3}' has bits {4} to 0, and the high bit comes first");
    public static readonly DiagnosticDescriptor FieldOverlap = Error("VFIO3012", "Fields overlap", "Field '{0}' and field '{1}' of register '{2}' share bits");
    public static readonly DiagnosticDescriptor UnknownRegister = Error("VFIO3013", "Field names no register", "Field '{0}' is of '{1}', which is no register of this class; write nameof(Register)");
    public static readonly DiagnosticDescriptor FieldType = Error("VFIO3014", "Type does not fit the field", "Field '{0}' has {1} bits and the type {2}: {3}");
    public static readonly DiagnosticDescriptor Reset = Error("VFIO3015", "Reset value has bits that do not exist", "'{0}' has the reset value {1}, of which the bits {2} {3}");
    public static readonly DiagnosticDescriptor HookSignature = Error("VFIO3016", "Hook cannot be called", "{0} of register '{1}' is '{2}', but the class has no method like that; accepted are: {3}");
    public static readonly DiagnosticDescriptor UselessHook = Error("VFIO3017", "Hook never runs", "{0} of register '{1}' would never run: {2}");
    public static readonly DiagnosticDescriptor DuplicateName = Error("VFIO3018", "Name is taken", "'{0}' cannot be used as a name: {1}");
    public static readonly DiagnosticDescriptor Block = Error("VFIO3019", "Block is not declared properly", "Register file '{0}': {1}");
    public static readonly DiagnosticDescriptor StateVersion = Error("VFIO3020", "Version of the state is wrong", "'{0}': {1}");

    public static IReadOnlyList<DiagnosticDescriptor> All { get; } =
    [
        NotPartial, UnusableClass, UnusableProperty, RegisterType, Misaligned, Outside, Overlap, Access, Widths, Array,
        FieldRange, FieldOverlap, UnknownRegister, FieldType, Reset, HookSignature, UselessHook, DuplicateName, Block, StateVersion,
    ];

    public static DiagnosticDescriptor Find(string id) => All.First(descriptor => descriptor.Id == id);

    private static DiagnosticDescriptor Error(string id, string title, string message)
        => new(id, title, message, "Vfio.Registers", DiagnosticSeverity.Error, isEnabledByDefault: true, description: "See docs/registers.md of Vfio.NET.");
}
