using System.Buffers;
using System.ComponentModel;
using System.Globalization;
using System.Text;

namespace Vfio.Pci;

/// <summary>
/// Registers that were declared on a partial class with <see cref="RegisterFileAttribute"/>. What the declaration says is generated at compile
/// time; this base class has what is the same for all: accesses narrower than the register, reset, names, saving and restoring.
/// </summary>
/// <remarks>
/// An access of the register's own width is a jump on the offset and allocates nothing. Not safe for concurrent use by itself; see
/// <see cref="RegisterBlock"/>.
/// </remarks>
public abstract class RegisterFile : RegisterBlock
{
    /// <summary>The version of the state that <see cref="Save"/> writes.</summary>
    public abstract int StateVersion { get; }

    /// <summary>The registers and reserved areas, in the order of their offsets.</summary>
    public abstract ReadOnlySpan<RegisterInfo> Layout { get; }

    /// <summary>Gives all registers their reset values. No hook of a register runs; <see cref="OnReset"/> does.</summary>
    /// <param name="kind">What caused the reset.</param>
    public sealed override void Reset(ResetKind kind)
    {
        ReadOnlySpan<RegisterInfo> layout = Layout;
        for (int register = 0; register < layout.Length; register++)
        {
            RegisterInfo info = layout[register];
            for (int element = 0; info.Access != RegisterAccess.Reserved && element < info.Count; element++)
            {
                SetContent(register, element, info.Reset);
            }
        }

        OnReset(kind);
    }

    /// <inheritdoc/>
    public sealed override string? Describe(ulong offset)
    {
        int register = Find(offset, out int element);
        if (register < 0)
        {
            return null;
        }

        RegisterInfo info = Layout[register];
        return info.Count == 1 || info.Access == RegisterAccess.Reserved ? info.Name : string.Create(CultureInfo.InvariantCulture, $"{info.Name}[{element}]");
    }

    /// <inheritdoc/>
    /// <remarks>Fields that are zero are left out.</remarks>
    public sealed override string Describe(ulong offset, ulong value)
    {
        int register = Find(offset, out int element);
        if (register < 0)
        {
            return base.Describe(offset, value);
        }

        RegisterInfo info = Layout[register];
        var text = new StringBuilder(Describe(offset)).Append(" = 0x").Append(value.ToString($"X{info.Width * 2}", CultureInfo.InvariantCulture));

        // A value from the middle of the register is shown where it belongs in it.
        ulong inner = info.Access == RegisterAccess.Reserved ? 0 : offset - info.Offset - ((ulong)element * info.Stride);
        value <<= (int)inner * 8;
        string separator = " (";
        foreach (RegisterFieldInfo field in info.Fields)
        {
            ulong part = field.Extract(value);
            if (part != 0)
            {
                text.Append(separator).Append(field.Name).Append('=').Append(field.NameOf(part) ?? part.ToString(CultureInfo.InvariantCulture));
                separator = ", ";
            }
        }

        return (separator == ", " ? text.Append(')') : text).ToString();
    }

    /// <summary>Writes the content of all registers, to be restored by <see cref="TryRestore"/> of this or a later version of the model.</summary>
    /// <param name="writer">Receives the state; <c>docs/registers.md</c> describes its form.</param>
    /// <remarks>Call it with <see cref="VfioPciDevice.StateLock"/> held.</remarks>
    public void Save(IBufferWriter<byte> writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        RegisterState.Save(this, writer);
    }

    /// <summary>
    /// Gives the registers the content that <see cref="Save"/> wrote. The state may be of an older version: registers that it does not have get their
    /// reset values. No hook of a register runs; <see cref="OnRestored"/> does.
    /// </summary>
    /// <param name="state">The whole state. It may come from anywhere: nothing is changed unless all of it is right.</param>
    /// <returns>How it went.</returns>
    /// <remarks>Call it with <see cref="VfioPciDevice.StateLock"/> held. Throws nothing and allocates nothing.</remarks>
    public RegisterRestoreResult TryRestore(ReadOnlySpan<byte> state)
    {
        RegisterRestoreResult result = RegisterState.Check(this, state);
        if (result.Error == Abi.Errno.None)
        {
            RegisterState.Apply(this, state);
            OnRestored();
        }

        return result;
    }

    /// <summary>Finds what is at an offset; generated.</summary>
    /// <param name="offset">Offset in the block.</param>
    /// <param name="element">The register's index in its array, otherwise 0.</param>
    /// <returns>The index in <see cref="Layout"/>, or -1.</returns>
    [EditorBrowsable(EditorBrowsableState.Never)]
    protected abstract int Find(ulong offset, out int element);

    /// <summary>Reads as software does, hooks included; generated.</summary>
    /// <param name="register">Index in <see cref="Layout"/>.</param>
    /// <param name="element">Index in the array.</param>
    /// <param name="lanes">The bits that are read.</param>
    /// <returns>The whole register.</returns>
    [EditorBrowsable(EditorBrowsableState.Never)]
    protected abstract ulong ReadRegister(int register, int element, ulong lanes);

    /// <summary>Writes as software does, hooks included; generated.</summary>
    /// <param name="register">Index in <see cref="Layout"/>.</param>
    /// <param name="element">Index in the array.</param>
    /// <param name="value">What is written, at its place in the register.</param>
    /// <param name="lanes">The bits that are written.</param>
    [EditorBrowsable(EditorBrowsableState.Never)]
    protected abstract void WriteRegister(int register, int element, ulong value, ulong lanes);

    /// <summary>The content of a register; generated.</summary>
    /// <param name="register">Index in <see cref="Layout"/>.</param>
    /// <param name="element">Index in the array.</param>
    /// <returns>The content.</returns>
    [EditorBrowsable(EditorBrowsableState.Never)]
    protected abstract ulong GetContent(int register, int element);

    /// <summary>Sets the content of a register; generated.</summary>
    /// <param name="register">Index in <see cref="Layout"/>.</param>
    /// <param name="element">Index in the array.</param>
    /// <param name="value">The content.</param>
    [EditorBrowsable(EditorBrowsableState.Never)]
    protected abstract void SetContent(int register, int element, ulong value);

    /// <summary>The registers have their reset values. Runs before <see cref="VfioPciDevice.OnReset"/>, with the state lock held.</summary>
    /// <param name="kind">What caused the reset.</param>
    protected virtual void OnReset(ResetKind kind)
    {
    }

    /// <summary>The registers have the content of a saved state: bring what follows from them up to date.</summary>
    protected virtual void OnRestored()
    {
    }

    /// <summary>A read that is not of a register's own width, or of none; for generated code.</summary>
    /// <param name="offset">Offset in the block.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value, zero-extended.</param>
    /// <returns>How it went.</returns>
    [EditorBrowsable(EditorBrowsableState.Never)]
    protected AccessResult ReadOther(ulong offset, int width, out ulong value)
    {
        value = 0;
        AccessResult result = Locate(offset, width, out int register, out int element, out int shift);
        if (result != AccessResult.Ok || register < 0)
        {
            return result;
        }

        RegisterInfo info = Layout[register];
        if (!info.CanRead)
        {
            return AccessResult.WriteOnly;
        }

        ulong ones = Ones(width);
        value = (ReadRegister(register, element, ones << shift) >> shift) & ones;
        return AccessResult.Ok;
    }

    /// <summary>A write that is not of a register's own width, or to none; for generated code.</summary>
    /// <param name="offset">Offset in the block.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value, zero-extended.</param>
    /// <returns>How it went.</returns>
    [EditorBrowsable(EditorBrowsableState.Never)]
    protected AccessResult WriteOther(ulong offset, int width, ulong value)
    {
        AccessResult result = Locate(offset, width, out int register, out int element, out int shift);
        if (result != AccessResult.Ok || register < 0)
        {
            return result;
        }

        RegisterInfo info = Layout[register];
        if (!info.CanWrite)
        {
            return AccessResult.ReadOnly;
        }

        ulong ones = Ones(width);
        WriteRegister(register, element, (value & ones) << shift, info.Narrow == NarrowAccess.ZeroExtend ? ulong.MaxValue : ones << shift);
        return AccessResult.Ok;
    }

    /// <summary>Logs that software uses a register which is not modelled, at the device's limited rate; for generated code.</summary>
    /// <param name="register">The register's name.</param>
    /// <returns>Whether the line was written, so that it need not be written again.</returns>
    [EditorBrowsable(EditorBrowsableState.Never)]
    protected bool ReportUnimplemented(string register) => Owner?.TryReportUnimplemented(Name, register) ?? false;

    internal ulong ContentOf(int register, int element) => GetContent(register, element);

    internal void Restore(int register, int element, ulong value) => SetContent(register, element, value);

    private static ulong Ones(int width) => width >= 8 ? ulong.MaxValue : (1UL << (width * 8)) - 1;

    /// <summary>Whether the access is one that the register takes; a register of -1 with success is a reserved area.</summary>
    private AccessResult Locate(ulong offset, int width, out int register, out int element, out int shift)
    {
        shift = 0;
        register = Find(offset, out element);
        if (register < 0)
        {
            return AccessResult.InvalidRegister;
        }

        RegisterInfo info = Layout[register];
        if (info.Access == RegisterAccess.Reserved)
        {
            register = -1;
            return offset + (ulong)width <= info.Offset + (ulong)info.Count ? AccessResult.Ok : AccessResult.InvalidAccessSize;
        }

        int inner = (int)(offset - info.Offset - ((ulong)element * info.Stride));
        shift = inner * 8;
        if (width != info.Width && (width > info.Width || ((int)info.Widths & width) == 0))
        {
            return AccessResult.InvalidAccessSize;
        }

        if (inner == 0)
        {
            return AccessResult.Ok;
        }

        if (width == info.Width)
        {
            return AccessResult.Unaligned;
        }

        return info.Narrow == NarrowAccess.ZeroExtend ? AccessResult.InvalidRegister
            : inner % width == 0 ? AccessResult.Ok : AccessResult.Unaligned;
    }
}
