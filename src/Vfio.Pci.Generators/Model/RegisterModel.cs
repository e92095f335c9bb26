namespace Vfio.Pci.Generators.Model;

/// <summary>A register, or an array of them.</summary>
internal sealed record RegisterModel(
    PropertyModel Property,
    string Name,
    string Description,
    long Offset,
    int Width,
    AccessKind Access,
    ulong Reset,
    int Widths,
    bool ZeroExtends,
    bool IsArray,
    int Count,
    long Stride,
    int Since,
    HookModel? BeforeRead,
    HookModel? AfterRead,
    HookModel? BeforeWrite,
    HookModel? AfterWrite,
    EquatableArray<FieldModel> Fields)
{
    /// <summary>First byte behind the last register.</summary>
    public long End => Offset + (Stride * (Count - 1)) + Width;

    public ulong Ones => Numbers.Ones(Width * 8);

    /// <summary>The bits that exist.</summary>
    public ulong Mask => Fields.Count == 0 ? Ones : Fields.Where(static part => part.Access != AccessKind.Reserved).Aggregate(0UL, static (mask, part) => mask | part.Mask);

    public bool CanRead => (Mask & ~MaskOf(AccessKind.WriteOnly)) != 0;

    public bool CanWrite => Access == AccessKind.Unimplemented
        || MaskOf(AccessKind.ReadWrite, AccessKind.WriteOnly, AccessKind.WriteOneToClear, AccessKind.WriteOneToSet, AccessKind.WriteOneToToggle) != 0;

    /// <summary>Whether its content can become another than the reset value.</summary>
    public bool HasState => Access != AccessKind.Unimplemented
        && (IsArray || Property.Set is not null || CanWrite || MaskOf(AccessKind.ReadToClear) != 0 || Fields.Any(static part => part.Property.Set is not null));

    /// <summary>The C# type.</summary>
    public string Type => Width switch { 1 => "byte", 2 => "ushort", 4 => "uint", _ => "ulong" };

    /// <summary>The type in which it is computed.</summary>
    public string Word => Width == 8 ? "ulong" : "uint";

    /// <summary>The bits with one of some ways of access.</summary>
    public ulong MaskOf(params AccessKind[] kinds) => Fields.Count == 0
        ? kinds.Contains(Access) ? Ones : 0
        : Fields.Where(field => kinds.Contains(field.Access)).Aggregate(0UL, static (mask, field) => mask | field.Mask);
}
