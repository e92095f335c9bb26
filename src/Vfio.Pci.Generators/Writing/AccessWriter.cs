using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Writing;

/// <summary>Writes what software's accesses do.</summary>
/// <remarks>
/// Each register has a method for reading and one for writing, in which masks are constants and only what the declaration has is written.
/// Accesses of the register's own width jump there by the offset; all others go through the base class, which looks at the layout.
/// </remarks>
internal sealed class AccessWriter(RegisterFileModel file, CodeText code)
{
    /// <summary>Offsets are looked at in steps of the narrowest register, which makes the jump table dense.</summary>
    private readonly int _step = file.Registers.Where(static register => !register.IsArray).Select(static register => register.Width).DefaultIfEmpty(4).Min();

    /// <summary>The field that holds the content.</summary>
    public static string Cell(RegisterModel register) => $"__{register.Property.Name}";

    /// <summary>The field that says that the register's use was logged.</summary>
    public static string Told(RegisterModel register) => $"__told_{register.Property.Name}";

    /// <summary>A constant in the type in which the register is computed.</summary>
    public static string Constant(RegisterModel register, ulong value) => Numbers.Hex(value) + (register.Width == 8 ? "UL" : "U");

    public void Write()
    {
        foreach (RegisterModel register in file.Registers)
        {
            WriteRead(register);
            WriteWrite(register);
        }

        code.Line("/// <inheritdoc/>");
        code.Open("public override AccessResult Read(ulong offset, int width, out ulong value)");
        WriteJump(static register => register.CanRead, static (register, index) => $"value = __read_{register.Property.Name}({index}{Constant(register, register.Ones)});");
        code.Line("return ReadOther(offset, width, out value);");
        code.Close();
        code.Line();
        code.Line("/// <inheritdoc/>");
        code.Open("public override AccessResult Write(ulong offset, int width, ulong value)");
        WriteJump(static register => register.CanWrite, static (register, index) => $"__write_{register.Property.Name}({index}unchecked(({register.Word}){(register.Width < 4 ? $"({register.Type})" : "")}value), {Constant(register, register.Ones)});");
        code.Line("return WriteOther(offset, width, value);");
        code.Close();
        code.Line();
        WriteFind();
        WriteByNumber("protected override ulong ReadRegister(int register, int element, ulong lanes)", static register => register.CanRead, static register => $"return __read_{register.Property.Name}({(register.IsArray ? "element, " : "")}unchecked(({register.Word})lanes));", "return 0;");
        WriteByNumber("protected override void WriteRegister(int register, int element, ulong value, ulong lanes)", static register => register.CanWrite, static register => $"__write_{register.Property.Name}({(register.IsArray ? "element, " : "")}unchecked(({register.Word})value), unchecked(({register.Word})lanes)); return;", "");
        WriteByNumber("protected override ulong GetContent(int register, int element)", static _ => true, static register => $"return {Cell(register)}{(register.IsArray ? "[element]" : "")};", "return 0;");
        WriteByNumber("protected override void SetContent(int register, int element, ulong value)", static _ => true, static register => $"{Cell(register)}{(register.IsArray ? "[element]" : "")} = unchecked(({register.Type})value); return;", "");
    }

    private static string Call(RegisterModel register, HookModel hook, params string[] values)
        => $"{hook.Method}({string.Join(", ", (register.IsArray ? ["index"] : Array.Empty<string>()).Concat(values.Take(hook.Values)))})";

    private static string Head(RegisterModel register) => register.IsArray ? "int index, " : "";

    private void WriteRead(RegisterModel register)
    {
        if (!register.CanRead)
        {
            return;
        }

        string type = register.Type;
        string cell = Cell(register) + (register.IsArray ? "[index]" : "");
        code.Open($"private {type} __read_{register.Property.Name}({Head(register)}{register.Word} lanes)");
        if (register.Access == AccessKind.Unimplemented)
        {
            WriteTold(register);
            code.Line($"return {cell};");
            code.Close();
            code.Line();
            return;
        }

        code.Line($"{type} value = {(register.BeforeRead is { } before ? Call(register, before, cell) : cell)};");
        ulong readable = register.Mask & ~register.MaskOf(AccessKind.WriteOnly);
        if (readable != register.Ones)
        {
            code.Line($"value = ({type})(value & {Constant(register, readable)});");
        }

        ulong clears = register.MaskOf(AccessKind.ReadToClear);
        if (clears != 0)
        {
            code.Line($"{cell} = unchecked(({type})({cell} & ~({Constant(register, clears)} & lanes)));");
        }

        if (register.AfterRead is { } after)
        {
            code.Line($"{Call(register, after, "value")};");
        }

        code.Line("return value;");
        code.Close();
        code.Line();
    }

    private void WriteWrite(RegisterModel register)
    {
        if (!register.CanWrite)
        {
            return;
        }

        string type = register.Type;
        string word = register.Word;
        string cell = Cell(register) + (register.IsArray ? "[index]" : "");
        code.Open($"private void __write_{register.Property.Name}({Head(register)}{word} written, {word} lanes)");
        if (register.Access == AccessKind.Unimplemented)
        {
            WriteTold(register);
            code.Close();
            code.Line();
            return;
        }

        // The other bytes of a narrow write keep what software reads and writes; what is only written has zeros there.
        ulong kept = register.MaskOf(AccessKind.ReadWrite);
        ulong once = register.MaskOf(AccessKind.WriteOnly);
        ulong stored = kept | once;
        code.Line($"{type} old = {cell};");
        code.Line($"{word} value = old;");
        if (stored != 0)
        {
            string replaced = once == 0 ? $"({Constant(register, kept)} & lanes)" : kept == 0 ? Constant(register, once) : $"(({Constant(register, kept)} & lanes) | {Constant(register, once)})";
            code.Line($"value = (value & ~{replaced}) | (written & {Constant(register, stored)});");
        }

        Bits(AccessKind.WriteOneToClear, "&= ~");
        Bits(AccessKind.WriteOneToSet, "|= ");
        Bits(AccessKind.WriteOneToToggle, "^= ");
        if (register.BeforeWrite is { } before)
        {
            string mask = register.Mask == register.Ones ? "" : $" & {Constant(register, register.Mask)}";
            code.Line($"value = ({word}){Call(register, before, $"({type})value", "old")}{mask};");
        }

        code.Line($"{cell} = ({type})value;");
        if (register.AfterWrite is { } after)
        {
            code.Line($"{Call(register, after, $"({type})value", "old")};");
        }

        code.Close();
        code.Line();

        void Bits(AccessKind kind, string how)
        {
            if (register.MaskOf(kind) is not 0 and ulong mask)
            {
                code.Line($"value {how}(written & {Constant(register, mask)});");
            }
        }
    }

    private void WriteTold(RegisterModel register)
    {
        code.Open($"if (!{Told(register)})");
        code.Line($"{Told(register)} = ReportUnimplemented({Microsoft.CodeAnalysis.CSharp.SymbolDisplay.FormatLiteral(register.Name, quote: true)});");
        code.Close();
        code.Line();
    }

    private void WriteJump(Func<RegisterModel, bool> isIn, Func<RegisterModel, string, string> access)
    {
        RegisterModel[] singles = [.. file.Registers.Where(register => !register.IsArray && isIn(register))];
        if (singles.Length > 0)
        {
            code.Open($"switch (offset / {_step}UL)");
            foreach (RegisterModel register in singles)
            {
                code.Line($"case {Numbers.Hex(register.Offset / _step)}UL:");
                code.Indent();
                code.Open($"if (width == {register.Width} && offset == {Numbers.Hex(register.Offset)}UL)");
                code.Line(access(register, ""));
                code.Line("return AccessResult.Ok;");
                code.Close();
                code.Line();
                code.Line("break;");
                code.Outdent();
            }

            code.Close();
            code.Line();
        }

        foreach (RegisterModel register in file.Registers.Where(register => register.IsArray && isIn(register)))
        {
            string at = $"__at_{register.Property.Name}";
            code.Line($"ulong {at} = offset - {Numbers.Hex(register.Offset)}UL;");
            code.Open($"if (width == {register.Width} && {at} < {Numbers.Hex(register.End - register.Offset)}UL && {at} % {register.Stride}UL == 0)");
            code.Line(access(register, $"(int)({at} / {register.Stride}UL), "));
            code.Line("return AccessResult.Ok;");
            code.Close();
            code.Line();
        }
    }

    private void WriteFind()
    {
        code.Line("/// <inheritdoc/>");
        code.Open("protected override int Find(ulong offset, out int element)");
        code.Line("element = 0;");
        RegisterModel[] registers = [.. file.Registers];
        if (registers.Any(static register => !register.IsArray))
        {
            code.Open($"switch (offset / {_step}UL)");
            for (int i = 0; i < registers.Length; i++)
            {
                if (!registers[i].IsArray)
                {
                    RegisterModel register = registers[i];
                    code.Line(string.Join(" ", Enumerable.Range(0, register.Width / _step).Select(part => $"case {Numbers.Hex((register.Offset / _step) + part)}UL:")));
                    code.Indent();
                    code.Line($"return {i};");
                    code.Outdent();
                }
            }

            code.Close();
            code.Line();
        }

        code.Line("ulong at;");
        for (int i = 0; i < registers.Length; i++)
        {
            if (registers[i].IsArray)
            {
                RegisterModel register = registers[i];
                code.Line($"at = offset - {Numbers.Hex(register.Offset)}UL;");
                code.Open($"if (at < {Numbers.Hex(register.End - register.Offset)}UL && at % {register.Stride}UL < {register.Width}UL)");
                code.Line($"element = (int)(at / {register.Stride}UL);");
                code.Line($"return {i};");
                code.Close();
                code.Line();
            }
        }

        for (int i = 0; i < file.Reserved.Count; i++)
        {
            ReservedModel area = file.Reserved[i];
            code.Open($"if (offset - {Numbers.Hex(area.Offset)}UL < {Numbers.Hex(area.Length)}UL)");
            code.Line($"return {registers.Length + i};");
            code.Close();
            code.Line();
        }

        code.Line("return -1;");
        code.Close();
        code.Line();
    }

    private void WriteByNumber(string head, Func<RegisterModel, bool> isIn, Func<RegisterModel, string> body, string otherwise)
    {
        code.Line("/// <inheritdoc/>");
        code.Open(head);
        code.Open("switch (register)");
        for (int i = 0; i < file.Registers.Count; i++)
        {
            if (isIn(file.Registers[i]))
            {
                code.Line($"case {i}: {body(file.Registers[i])}");
            }
        }

        code.Close();
        if (otherwise.Length > 0)
        {
            code.Line();
            code.Line(otherwise);
        }

        code.Close();
        code.Line();
    }
}
