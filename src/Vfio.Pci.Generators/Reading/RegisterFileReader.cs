using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Reading;

/// <summary>Reads a class with <c>[RegisterFile]</c> and everything in it.</summary>
internal sealed class RegisterFileReader
{
    public const string AttributeName = "Vfio.Pci.RegisterFileAttribute";
    private const string ReservedName = "Vfio.Pci.ReservedRegistersAttribute";
    private const string BaseName = "Vfio.Pci.RegisterFile";
    private const long MaxSize = 256 << 20;

    /// <summary>Members that the generated class has or inherits.</summary>
    private static readonly HashSet<string> s_taken = new(StringComparer.Ordinal)
    {
        "Name", "Size", "StateVersion", "Layout", "MaxAccessWidth", "Read", "Write", "Reset", "Describe", "Validate", "Save", "TryRestore",
        "Find", "ReadRegister", "WriteRegister", "GetContent", "SetContent", "OnReset", "OnRestored", "ReadOther", "WriteOther",
        "ReportUnimplemented", "RegistersMarkdown", "CHeader", "Equals", "GetHashCode", "GetType", "ToString",
    };

    private readonly MistakeList _mistakes = new();
    private readonly INamedTypeSymbol _type;
    private readonly CancellationToken _cancellation;

    private RegisterFileReader(INamedTypeSymbol type, CancellationToken cancellation)
    {
        _type = type;
        _cancellation = cancellation;
    }

    public static ReadResult Read(GeneratorAttributeSyntaxContext context, CancellationToken cancellation)
    {
        var reader = new RegisterFileReader((INamedTypeSymbol)context.TargetSymbol, cancellation);
        RegisterFileModel? model = reader.Read(new AttributeReader(context.Attributes[0]));
        IReadOnlyList<Mistake> mistakes = reader._mistakes.Items;
        return new ReadResult(mistakes.Count == 0 ? model : null, new EquatableArray<Mistake>(mistakes));
    }

    private RegisterFileModel? Read(AttributeReader attribute)
    {
        if (!CheckClass())
        {
            return null;
        }

        string name = attribute.Text(0);
        long size = attribute.Number("Size");
        int version = (int)attribute.Number("Version", 1);
        CheckBlock(attribute, name, size, version);
        var layout = new LayoutCheck(name, size, _mistakes);
        RegisterModel[] registers = ReadRegisters(version, layout);
        ReservedModel[] reserved = ReadReserved(layout);
        if (registers.Length == 0 && _mistakes.Items.Count == 0)
        {
            _mistakes.Add(RegisterDiagnostics.Block, attribute.Location, name, "it has no register; give properties [Register(offset)]");
        }

        return new RegisterFileModel(
            _type.ContainingNamespace.IsGlobalNamespace ? "" : _type.ContainingNamespace.ToDisplayString(),
            new EquatableArray<string>(Containers().Reverse().Select(static container => container.Name)),
            _type.Name,
            IsVisible() ? "public " : "internal ",
            name,
            size,
            version,
            new EquatableArray<RegisterModel>(registers.OrderBy(static register => register.Offset)),
            new EquatableArray<ReservedModel>(reserved.OrderBy(static area => area.Offset)));
    }

    private IEnumerable<INamedTypeSymbol> Containers()
    {
        for (INamedTypeSymbol? type = _type.ContainingType; type is not null; type = type.ContainingType)
        {
            yield return type;
        }
    }

    private bool IsVisible() => _type.DeclaredAccessibility == Accessibility.Public && Containers().All(static type => type.DeclaredAccessibility == Accessibility.Public);

    private bool CheckClass()
    {
        Location location = _type.Locations[0];
        foreach (INamedTypeSymbol type in Containers().Prepend(_type))
        {
            bool isPartial = type.DeclaringSyntaxReferences.Any(reference => reference.GetSyntax(_cancellation) is TypeDeclarationSyntax syntax && syntax.Modifiers.Any(SyntaxKind.PartialKeyword));
            if (!isPartial)
            {
                _mistakes.Add(RegisterDiagnostics.NotPartial, location, type.Name);
                return false;
            }
        }

        string? why = _type.IsStatic ? "it is static, but devices have registers of their own"
            : _type.IsAbstract ? "it is abstract; the generated members have nothing left to override"
            : _type.IsRecord ? "it is a record, and registers are no value"
            : _type.IsFileLocal ? "it is file-local, and its other part lies in another file"
            : Containers().Prepend(_type).Any(static type => type.IsGenericType) ? "it, or a class around it, is generic"
            : Containers().Any(static type => type.TypeKind != TypeKind.Class || type.IsRecord) ? "what is around it is no class"
            : _type.BaseType is { SpecialType: not SpecialType.System_Object } other && other.ToDisplayString() != BaseName ? $"it derives from {other.ToDisplayString()}, but a register file derives from RegisterFile"
            : null;
        if (why is not null)
        {
            _mistakes.Add(RegisterDiagnostics.UnusableClass, location, _type.Name, why);
        }

        return why is null;
    }

    private void CheckBlock(AttributeReader attribute, string name, long size, int version)
    {
        string macro = Names.Macro(name);
        if (macro.Length == 0 || macro[0] is < 'A' or > 'Z')
        {
            _mistakes.Add(RegisterDiagnostics.Block, attribute.Location, name, "its name stands in front of the names in C and must begin with a letter");
        }

        if (size is < 1 or > MaxSize)
        {
            _mistakes.Add(RegisterDiagnostics.Block, attribute.Location, name, $"Size is {size}; 1 to {MaxSize} bytes are accepted");
        }

        if (version is < 1 or > ushort.MaxValue)
        {
            _mistakes.Add(RegisterDiagnostics.StateVersion, attribute.Location, name, $"Version is {version}; 1 to {ushort.MaxValue} are accepted");
        }
    }

    private RegisterModel[] ReadRegisters(int version, LayoutCheck layout)
    {
        var reader = new RegisterReader(_type, version, _mistakes, _cancellation);
        IPropertySymbol[] properties = [.. _type.GetMembers().OfType<IPropertySymbol>()];
        Dictionary<string, List<(IPropertySymbol Property, AttributeReader Attribute)>> fields = properties
            .Select(static property => (Property: property, Attribute: AttributeReader.Find(property, FieldReader.AttributeName)!))
            .Where(static item => item.Attribute is not null)
            .GroupBy(static item => item.Attribute.Text(0), StringComparer.Ordinal)
            .ToDictionary(static group => group.Key, static group => group.ToList(), StringComparer.Ordinal);
        HashSet<string> known = new(StringComparer.Ordinal);
        List<RegisterModel> registers = [];
        foreach (IPropertySymbol property in properties)
        {
            _cancellation.ThrowIfCancellationRequested();
            AttributeReader? attribute = AttributeReader.Find(property, RegisterReader.AttributeName);
            bool isField = AttributeReader.Find(property, FieldReader.AttributeName) is not null;
            if ((attribute is not null || isField) && s_taken.Contains(property.Name))
            {
                _mistakes.Add(RegisterDiagnostics.DuplicateName, property.Locations[0], property.Name, "RegisterFile has a member of this name; give the property another one, and the datasheet's as Name");
                known.Add(property.Name);
                continue;
            }

            if (attribute is null)
            {
                continue;
            }

            known.Add(property.Name);
            if (isField)
            {
                _mistakes.Add(RegisterDiagnostics.UnusableProperty, property.Locations[0], property.Name, "it is one or the other");
            }
            else if (reader.Read(property, attribute) is { } register)
            {
                registers.Add(Complete(register, attribute, fields.TryGetValue(property.Name, out var own) ? own : [], layout));
            }
        }

        foreach ((IPropertySymbol property, AttributeReader attribute) in fields.Where(group => !known.Contains(group.Key)).SelectMany(static group => group.Value))
        {
            _mistakes.Add(RegisterDiagnostics.UnknownRegister, attribute.Location, property.Name, attribute.Text(0));
        }

        return [.. registers];
    }

    /// <summary>A register with its fields, whose modes and reset values are now known.</summary>
    private RegisterModel Complete(RegisterModel register, AttributeReader attribute, IEnumerable<(IPropertySymbol Property, AttributeReader Attribute)> own, LayoutCheck layout)
    {
        layout.Add(register, attribute.Location);
        List<(FieldModel Field, Location? Location)> fields = [];
        foreach ((IPropertySymbol property, AttributeReader of) in own)
        {
            if (FieldReader.Read(property, of, register, _mistakes, _cancellation) is { } field)
            {
                fields.Add((field, of.Location));
            }
        }

        RegisterModel complete = register with { Fields = new EquatableArray<FieldModel>(layout.Fields(register, fields)) };
        ulong missing = complete.Reset & ~complete.Mask;
        if (missing != 0)
        {
            _mistakes.Add(RegisterDiagnostics.Reset, attribute.Location, complete.Name, Numbers.Hex(complete.Reset), Numbers.Hex(missing), "are in no field, or outside the register");
        }

        foreach ((FieldModel field, Location? location) in fields)
        {
            if (field.Reset != 0 && (field.Access == AccessKind.Reserved || (complete.Reset & field.Mask) != 0))
            {
                _mistakes.Add(RegisterDiagnostics.Reset, location, field.Name, Numbers.Hex(field.Reset), Numbers.Hex(field.Reset), field.Access == AccessKind.Reserved ? "are reserved" : "are in the register's reset value as well");
            }
        }

        CheckHooks(complete, attribute);
        return complete with { Reset = complete.Fields.Aggregate(complete.Reset, static (reset, field) => reset | (field.Reset << field.Low)) };
    }

    private void CheckHooks(RegisterModel register, AttributeReader attribute)
    {
        (string Hook, HookModel? Model, bool Runs)[] hooks =
        [
            ("BeforeRead", register.BeforeRead, register.CanRead), ("AfterRead", register.AfterRead, register.CanRead),
            ("BeforeWrite", register.BeforeWrite, register.CanWrite), ("AfterWrite", register.AfterWrite, register.CanWrite),
        ];
        foreach ((string hook, HookModel? model, bool runs) in hooks)
        {
            if (model is not null && (!runs || register.Access == AccessKind.Unimplemented))
            {
                _mistakes.Add(RegisterDiagnostics.UselessHook, attribute.Location, hook, register.Name, register.Access == AccessKind.Unimplemented ? "the register is not modelled" : $"software cannot {(hook.EndsWith("Read", StringComparison.Ordinal) ? "read" : "write")} it");
            }
        }
    }

    private ReservedModel[] ReadReserved(LayoutCheck layout)
    {
        List<ReservedModel> areas = [];
        foreach (AttributeData data in _type.GetAttributes().Where(static attribute => attribute.AttributeClass?.ToDisplayString() == ReservedName))
        {
            var attribute = new AttributeReader(data);
            var area = new ReservedModel(attribute.Number(0), attribute.Number(1), attribute.ArgumentCount > 2 ? attribute.Text(2) : "reserved");
            if (area.Length is < 1 or > MaxSize)
            {
                _mistakes.Add(RegisterDiagnostics.Block, attribute.Location, area.Name, $"a reserved area has 1 to {MaxSize} bytes, not {area.Length}");
                continue;
            }

            layout.Add(area, attribute.Location);
            areas.Add(area);
        }

        return [.. areas];
    }
}
