namespace Vfio.Pci;

/// <content>The declaration: one call for each register, by access and width.</content>
public sealed partial class RegisterMap
{
    /// <inheritdoc cref="ReadOnly32"/>
    public RegisterMap ReadOnly8(ulong offset, string name, Func<byte> read, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        return Add(offset, 1, name, RegisterAccess.ReadOnly, _ => read(), null, description, widths, narrow);
    }

    /// <inheritdoc cref="ReadWrite32"/>
    public RegisterMap ReadWrite8(ulong offset, string name, Func<byte> read, Action<byte> write, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(write);
        return Add(offset, 1, name, RegisterAccess.ReadWrite, _ => read(), (_, value) => write((byte)value), description, widths, narrow);
    }

    /// <inheritdoc cref="WriteOnly32"/>
    public RegisterMap WriteOnly8(ulong offset, string name, Action<byte> write, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(write);
        return Add(offset, 1, name, RegisterAccess.WriteOnly, null, (_, value) => write((byte)value), description, widths, narrow);
    }

    /// <inheritdoc cref="WriteOneToClear32"/>
    public RegisterMap WriteOneToClear8(ulong offset, string name, Func<byte> read, Action<byte> clear, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(clear);
        return Add(offset, 1, name, RegisterAccess.WriteOneToClear, _ => read(), (_, value) => clear((byte)value), description, widths, narrow);
    }

    /// <inheritdoc cref="Storage32"/>
    public RegisterMap Storage8(ulong offset, string name, out RegisterCell cell, byte reset = 0, byte writable = byte.MaxValue, string description = "", RegisterWidths widths = RegisterWidths.Own)
    {
        cell = new RegisterCell(reset);
        return Add(new Register
        {
            Offset = offset,
            Width = 1,
            Name = name,
            Access = RegisterAccess.ReadWrite,
            Cell = cell,
            WriteMask = writable,
            Description = description,
            Widths = widths,
        });
    }

    /// <inheritdoc cref="Array32"/>
    public RegisterMap Array8(ulong offset, string name, int count, Func<int, byte>? read, Action<int, byte>? write, ulong stride = 0, string description = "")
        => Add(new Register
        {
            Offset = offset,
            Width = 1,
            Name = name,
            Access = read is null ? RegisterAccess.WriteOnly : write is null ? RegisterAccess.ReadOnly : RegisterAccess.ReadWrite,
            Count = count,
            Stride = stride == 0 ? 1 : stride,
            ReadValue = read is null ? null : index => read(index),
            WriteValue = write is null ? null : (index, value) => write(index, (byte)value),
            Description = description,
        });

    /// <inheritdoc cref="ReadOnly32"/>
    public RegisterMap ReadOnly16(ulong offset, string name, Func<ushort> read, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        return Add(offset, 2, name, RegisterAccess.ReadOnly, _ => read(), null, description, widths, narrow);
    }

    /// <inheritdoc cref="ReadWrite32"/>
    public RegisterMap ReadWrite16(ulong offset, string name, Func<ushort> read, Action<ushort> write, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(write);
        return Add(offset, 2, name, RegisterAccess.ReadWrite, _ => read(), (_, value) => write((ushort)value), description, widths, narrow);
    }

    /// <inheritdoc cref="WriteOnly32"/>
    public RegisterMap WriteOnly16(ulong offset, string name, Action<ushort> write, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(write);
        return Add(offset, 2, name, RegisterAccess.WriteOnly, null, (_, value) => write((ushort)value), description, widths, narrow);
    }

    /// <inheritdoc cref="WriteOneToClear32"/>
    public RegisterMap WriteOneToClear16(ulong offset, string name, Func<ushort> read, Action<ushort> clear, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(clear);
        return Add(offset, 2, name, RegisterAccess.WriteOneToClear, _ => read(), (_, value) => clear((ushort)value), description, widths, narrow);
    }

    /// <inheritdoc cref="Storage32"/>
    public RegisterMap Storage16(ulong offset, string name, out RegisterCell cell, ushort reset = 0, ushort writable = ushort.MaxValue, string description = "", RegisterWidths widths = RegisterWidths.Own)
    {
        cell = new RegisterCell(reset);
        return Add(new Register
        {
            Offset = offset,
            Width = 2,
            Name = name,
            Access = RegisterAccess.ReadWrite,
            Cell = cell,
            WriteMask = writable,
            Description = description,
            Widths = widths,
        });
    }

    /// <inheritdoc cref="Array32"/>
    public RegisterMap Array16(ulong offset, string name, int count, Func<int, ushort>? read, Action<int, ushort>? write, ulong stride = 0, string description = "")
        => Add(new Register
        {
            Offset = offset,
            Width = 2,
            Name = name,
            Access = read is null ? RegisterAccess.WriteOnly : write is null ? RegisterAccess.ReadOnly : RegisterAccess.ReadWrite,
            Count = count,
            Stride = stride == 0 ? 2 : stride,
            ReadValue = read is null ? null : index => read(index),
            WriteValue = write is null ? null : (index, value) => write(index, (ushort)value),
            Description = description,
        });

    /// <summary>Declares a register that is only read; writes are refused.</summary>
    /// <param name="offset">Offset in the block, a multiple of the register's width.</param>
    /// <param name="name">The datasheet's name.</param>
    /// <param name="read">Gives the value; runs with the device's state lock held.</param>
    /// <param name="description">What the README's table says.</param>
    /// <param name="widths">Access widths besides the register's own.</param>
    /// <param name="narrow">What a narrower access means.</param>
    /// <returns>This map.</returns>
    public RegisterMap ReadOnly32(ulong offset, string name, Func<uint> read, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        return Add(offset, 4, name, RegisterAccess.ReadOnly, _ => read(), null, description, widths, narrow);
    }

    /// <summary>Declares a register that is read and written.</summary>
    /// <param name="offset">Offset in the block, a multiple of the register's width.</param>
    /// <param name="name">The datasheet's name.</param>
    /// <param name="read">Gives the value; runs with the device's state lock held. Also called to complete a narrower write.</param>
    /// <param name="write">Takes the written value; runs with the device's state lock held.</param>
    /// <param name="description">What the README's table says.</param>
    /// <param name="widths">Access widths besides the register's own.</param>
    /// <param name="narrow">What a narrower access means.</param>
    /// <returns>This map.</returns>
    public RegisterMap ReadWrite32(ulong offset, string name, Func<uint> read, Action<uint> write, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(write);
        return Add(offset, 4, name, RegisterAccess.ReadWrite, _ => read(), (_, value) => write((uint)value), description, widths, narrow);
    }

    /// <summary>Declares a register that is only written; reads are refused.</summary>
    /// <param name="offset">Offset in the block, a multiple of the register's width.</param>
    /// <param name="name">The datasheet's name.</param>
    /// <param name="write">Takes the written value; runs with the device's state lock held.</param>
    /// <param name="description">What the README's table says.</param>
    /// <param name="widths">Access widths besides the register's own.</param>
    /// <param name="narrow">What a narrower access means.</param>
    /// <returns>This map.</returns>
    public RegisterMap WriteOnly32(ulong offset, string name, Action<uint> write, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(write);
        return Add(offset, 4, name, RegisterAccess.WriteOnly, null, (_, value) => write((uint)value), description, widths, narrow);
    }

    /// <summary>Declares a register of which written ones clear bits.</summary>
    /// <param name="offset">Offset in the block, a multiple of the register's width.</param>
    /// <param name="name">The datasheet's name.</param>
    /// <param name="read">Gives the value; runs with the device's state lock held.</param>
    /// <param name="clear">Takes the bits to clear; runs with the device's state lock held.</param>
    /// <param name="description">What the README's table says.</param>
    /// <param name="widths">Access widths besides the register's own.</param>
    /// <param name="narrow">What a narrower access means.</param>
    /// <returns>This map.</returns>
    public RegisterMap WriteOneToClear32(ulong offset, string name, Func<uint> read, Action<uint> clear, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(clear);
        return Add(offset, 4, name, RegisterAccess.WriteOneToClear, _ => read(), (_, value) => clear((uint)value), description, widths, narrow);
    }

    /// <summary>Declares a register that keeps what is written and has no further effect.</summary>
    /// <param name="offset">Offset in the block, a multiple of the register's width.</param>
    /// <param name="name">The datasheet's name.</param>
    /// <param name="cell">The register's content, for the device.</param>
    /// <param name="reset">Content after a reset.</param>
    /// <param name="writable">The bits that can be written.</param>
    /// <param name="description">What the README's table says.</param>
    /// <param name="widths">Access widths besides the register's own.</param>
    /// <returns>This map.</returns>
    public RegisterMap Storage32(ulong offset, string name, out RegisterCell cell, uint reset = 0, uint writable = uint.MaxValue, string description = "", RegisterWidths widths = RegisterWidths.Own)
    {
        cell = new RegisterCell(reset);
        return Add(new Register
        {
            Offset = offset,
            Width = 4,
            Name = name,
            Access = RegisterAccess.ReadWrite,
            Cell = cell,
            WriteMask = writable,
            Description = description,
            Widths = widths,
        });
    }

    /// <summary>Declares equal registers at equal distances.</summary>
    /// <param name="offset">Offset of the first in the block.</param>
    /// <param name="name">The datasheet's name.</param>
    /// <param name="count">How many.</param>
    /// <param name="read">Gives the value of the register with an index; null for write-only ones.</param>
    /// <param name="write">Takes the value written to the register with an index; null for read-only ones.</param>
    /// <param name="stride">Distance in bytes; 0 for the register's width.</param>
    /// <param name="description">What the README's table says.</param>
    /// <returns>This map.</returns>
    public RegisterMap Array32(ulong offset, string name, int count, Func<int, uint>? read, Action<int, uint>? write, ulong stride = 0, string description = "")
        => Add(new Register
        {
            Offset = offset,
            Width = 4,
            Name = name,
            Access = read is null ? RegisterAccess.WriteOnly : write is null ? RegisterAccess.ReadOnly : RegisterAccess.ReadWrite,
            Count = count,
            Stride = stride == 0 ? 4 : stride,
            ReadValue = read is null ? null : index => read(index),
            WriteValue = write is null ? null : (index, value) => write(index, (uint)value),
            Description = description,
        });

    /// <inheritdoc cref="ReadOnly32"/>
    public RegisterMap ReadOnly64(ulong offset, string name, Func<ulong> read, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        return Add(offset, 8, name, RegisterAccess.ReadOnly, _ => read(), null, description, widths, narrow);
    }

    /// <inheritdoc cref="ReadWrite32"/>
    public RegisterMap ReadWrite64(ulong offset, string name, Func<ulong> read, Action<ulong> write, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(write);
        return Add(offset, 8, name, RegisterAccess.ReadWrite, _ => read(), (_, value) => write((ulong)value), description, widths, narrow);
    }

    /// <inheritdoc cref="WriteOnly32"/>
    public RegisterMap WriteOnly64(ulong offset, string name, Action<ulong> write, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(write);
        return Add(offset, 8, name, RegisterAccess.WriteOnly, null, (_, value) => write((ulong)value), description, widths, narrow);
    }

    /// <inheritdoc cref="WriteOneToClear32"/>
    public RegisterMap WriteOneToClear64(ulong offset, string name, Func<ulong> read, Action<ulong> clear, string description = "", RegisterWidths widths = RegisterWidths.Own, NarrowAccess narrow = NarrowAccess.Part)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(clear);
        return Add(offset, 8, name, RegisterAccess.WriteOneToClear, _ => read(), (_, value) => clear((ulong)value), description, widths, narrow);
    }

    /// <inheritdoc cref="Storage32"/>
    public RegisterMap Storage64(ulong offset, string name, out RegisterCell cell, ulong reset = 0, ulong writable = ulong.MaxValue, string description = "", RegisterWidths widths = RegisterWidths.Own)
    {
        cell = new RegisterCell(reset);
        return Add(new Register
        {
            Offset = offset,
            Width = 8,
            Name = name,
            Access = RegisterAccess.ReadWrite,
            Cell = cell,
            WriteMask = writable,
            Description = description,
            Widths = widths,
        });
    }

    /// <inheritdoc cref="Array32"/>
    public RegisterMap Array64(ulong offset, string name, int count, Func<int, ulong>? read, Action<int, ulong>? write, ulong stride = 0, string description = "")
        => Add(new Register
        {
            Offset = offset,
            Width = 8,
            Name = name,
            Access = read is null ? RegisterAccess.WriteOnly : write is null ? RegisterAccess.ReadOnly : RegisterAccess.ReadWrite,
            Count = count,
            Stride = stride == 0 ? 8 : stride,
            ReadValue = read is null ? null : index => read(index),
            WriteValue = write is null ? null : (index, value) => write(index, (ulong)value),
            Description = description,
        });

    /// <summary>Declares bytes that read zero and ignore writes, silently.</summary>
    /// <param name="offset">Offset in the block.</param>
    /// <param name="length">Number of bytes.</param>
    /// <param name="name">A name for the documentation.</param>
    /// <returns>This map.</returns>
    public RegisterMap Reserved(ulong offset, int length, string name = "reserved")
        => Add(new Register
        {
            Offset = offset,
            Width = 1,
            Count = length,
            Stride = 1,
            Name = name,
            Access = RegisterAccess.Reserved,
        });

    private RegisterMap Add(ulong offset, int width, string name, RegisterAccess access, Func<int, ulong>? read, Action<int, ulong>? write, string description, RegisterWidths widths, NarrowAccess narrow)
        => Add(new Register
        {
            Offset = offset,
            Width = width,
            Name = name,
            Access = access,
            ReadValue = read,
            WriteValue = write,
            Description = description,
            Widths = widths,
            Narrow = narrow,
        });

    private RegisterMap Add(Register register)
    {
        if (register.Name.Length == 0)
        {
            throw new ArgumentException($"A register of block '{Name}' has no name.", nameof(register));
        }

        if (_isSealed)
        {
            throw new InvalidOperationException($"Block '{Name}' is in use; declare all its registers before the first access.");
        }

        _registers.Add(register);
        return this;
    }
}
