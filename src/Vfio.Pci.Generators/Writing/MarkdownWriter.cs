using System.Text;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Writing;

/// <summary>Writes the register table of a README: a line for each register, and beneath it one for each field.</summary>
internal static class MarkdownWriter
{
    public static string Write(RegisterFileModel file)
    {
        var text = new StringBuilder("| Offset | Bytes | Access | Register | Meaning |\n|---|---|---|---|---|\n");
        IEnumerable<(long Offset, string Lines)> registers = file.Registers.Select(static register => (register.Offset, Lines(register)));
        IEnumerable<(long Offset, string Lines)> reserved = file.Reserved.Select(static area => (area.Offset, $"| {Numbers.Offset(area.Offset)} | {area.Length} | – | {Escape(area.Name)} |  |\n"));
        foreach ((_, string lines) in registers.Concat(reserved).OrderBy(static item => item.Offset))
        {
            text.Append(lines);
        }

        return text.ToString();
    }

    private static string Lines(RegisterModel register)
    {
        string name = register.IsArray ? $"{register.Name}[0…{register.Count - 1}], every {Numbers.Hex(register.Stride)}" : register.Name;
        string widths = string.Join(", ", new[] { 1, 2, 4, 8 }.Where(width => width == register.Width || (width < register.Width && (register.Widths & width) != 0)));
        var text = new StringBuilder($"| {Numbers.Offset(register.Offset)} | {widths} | {Access(register)} | {Escape(name)} | {Meaning(register.Description, register.Reset)} |\n");
        foreach (FieldModel field in register.Fields)
        {
            string bits = field.Bits == 1 ? $"bit {field.Low}" : $"bits {field.High}:{field.Low}";
            string values = string.Join(", ", field.Values.Select(static value => $"{value.Value} {value.Name}"));
            string meaning = values.Length == 0 ? field.Description : field.Description.Length == 0 ? values : $"{field.Description}: {values}";
            text.Append($"| | {bits} | {Short(field.Access)} | {Escape(register.Name)}.{Escape(field.Name)} | {Meaning(meaning, 0)} |\n");
        }

        return text.ToString();
    }

    private static string Meaning(string description, ulong reset)
        => Escape(description) + (reset == 0 ? "" : $"{(description.Length == 0 ? "" : " ")}(reset {Numbers.Hex(reset)})");

    private static string Access(RegisterModel register)
    {
        AccessKind[] kinds = register.Fields.Count == 0 ? [register.Access] : [.. register.Fields.Where(static field => field.Access != AccessKind.Reserved).Select(static field => field.Access).Distinct()];
        return kinds.Length == 1 ? Short(kinds[0]) : "mixed";
    }

    private static string Short(AccessKind access) => access switch
    {
        AccessKind.ReadOnly => "RO",
        AccessKind.ReadWrite => "RW",
        AccessKind.WriteOnly => "WO",
        AccessKind.WriteOneToClear => "W1C",
        AccessKind.WriteOneToSet => "W1S",
        AccessKind.WriteOneToToggle => "W1T",
        AccessKind.ReadToClear => "RC",
        AccessKind.Unimplemented => "not modelled",
        _ => "–",
    };

    private static string Escape(string text) => text.Replace("|", "\\|").Replace("\r", "").Replace("\n", " ");
}
