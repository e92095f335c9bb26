using System.Globalization;
using System.Text;

namespace Vfio.Pci;

/// <summary>
/// A block of registers declared so that it reads like the datasheet, once, in the device's constructor. Accesses, reset values, names in
/// logs and the documentation come from the declaration.
/// </summary>
/// <remarks>
/// <para>
/// Mistakes (overlap, misalignment, a register outside the block) are collected and reported all at once: by
/// <see cref="PciDeviceBuilder"/> together with the device's other mistakes, or at the first access.
/// </para>
/// <para>An access costs one look-up in a dense array and allocates nothing. Not safe for concurrent use by itself; see <see cref="RegisterBlock"/>.</para>
/// </remarks>
/// <example>
/// <code>
/// _registers = new RegisterMap("edu", 0x100)
///     .ReadOnly32(0x00, "identification", () =&gt; 0x010000ED)
///     .ReadWrite32(0x04, "liveness", read: () =&gt; ~_liveness, write: value =&gt; _liveness = value);
/// </code>
/// </example>
public sealed partial class RegisterMap : RegisterBlock
{
    private const int MaxSlots = 1 << 24;
    private readonly List<Register> _registers = [];
    private Register[] _sealed = [];
    private int[] _slots = [];
    private int _slotShift;
    private int _maxWidth = 4;
    private bool _isSealed;

    /// <summary>Creates an empty map.</summary>
    /// <param name="name">The block's name in logs and documentation.</param>
    /// <param name="size">The block's extent in bytes, not zero.</param>
    public RegisterMap(string name, ulong size)
        : base(name, size)
    {
    }

    /// <summary>The width of the widest register: wider accesses arrive in pieces of this width.</summary>
    public override int MaxAccessWidth => _maxWidth;

    /// <inheritdoc/>
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = 0;
        if (Find(offset) is not { } register)
        {
            return AccessResult.InvalidRegister;
        }

        AccessResult result = Locate(register, offset, width, out int index, out int inner);
        if (result != AccessResult.Ok)
        {
            return result;
        }

        if (register.Access == RegisterAccess.WriteOnly)
        {
            return AccessResult.WriteOnly;
        }

        value = Content(register, index);
        if (width != register.Width)
        {
            value = (value >> (inner * 8)) & Ones(width);
        }

        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        if (Find(offset) is not { } register)
        {
            return AccessResult.InvalidRegister;
        }

        AccessResult result = Locate(register, offset, width, out int index, out int inner);
        if (result != AccessResult.Ok)
        {
            return result;
        }

        switch (register.Access)
        {
            case RegisterAccess.ReadOnly:
                return AccessResult.ReadOnly;
            case RegisterAccess.Reserved:
                return AccessResult.Ok;
        }

        if (width != register.Width && register.Narrow == NarrowAccess.Part)
        {
            value <<= inner * 8;
            if (register.Access == RegisterAccess.ReadWrite)
            {
                value |= Content(register, index) & ~(Ones(width) << (inner * 8));
            }
        }

        if (register.Cell is { } cell)
        {
            cell.Value = register.Access == RegisterAccess.WriteOneToClear
                ? cell.Value & ~(value & register.WriteMask)
                : (cell.Value & ~register.WriteMask) | (value & register.WriteMask);
        }

        register.WriteValue?.Invoke(index, value);
        return AccessResult.Ok;
    }

    /// <summary>Gives plain storage registers their reset values.</summary>
    /// <param name="kind">Not looked at: all resets are alike for storage.</param>
    public override void Reset(ResetKind kind)
    {
        foreach (Register register in _registers)
        {
            if (register.Cell is { } cell)
            {
                cell.Value = cell.ResetValue;
            }
        }
    }

    /// <inheritdoc/>
    public override string? Describe(ulong offset) => Find(offset)?.Name;

    /// <summary>The registers as a Markdown table, in the order of their offsets: what a device's README shows.</summary>
    /// <returns>The table, with a line feed at the end of each line.</returns>
    public string ToMarkdown()
    {
        var text = new StringBuilder("| Offset | Bytes | Access | Register | Meaning |\n|---|---|---|---|---|\n");
        foreach (Register register in _registers.OrderBy(r => r.Offset))
        {
            string access = register.Access switch
            {
                RegisterAccess.ReadOnly => "RO",
                RegisterAccess.ReadWrite => "RW",
                RegisterAccess.WriteOnly => "WO",
                RegisterAccess.WriteOneToClear => "W1C",
                _ => "reserved",
            };
            string name = register.Count > 1
                ? string.Create(CultureInfo.InvariantCulture, $"{register.Name}[0…{register.Count - 1}], every 0x{register.Stride:X}")
                : register.Name;
            string widths = register.Widths == RegisterWidths.Own
                ? register.Width.ToString(CultureInfo.InvariantCulture)
                : string.Join(", ", new[] { 1, 2, 4, 8 }.Where(w => ((int)register.Widths & w) != 0 || w == register.Width));
            string reset = register.Cell is { } cell
                ? string.Create(CultureInfo.InvariantCulture, $"{(register.Description.Length == 0 ? "" : " ")}(reset 0x{cell.ResetValue:X})")
                : "";
            text.Append(CultureInfo.InvariantCulture, $"| 0x{register.Offset:X2} | {widths} | {access} | {name} | {register.Description}{reset} |\n");
        }

        return text.ToString();
    }

    /// <inheritdoc/>
    protected internal override void Validate(ICollection<string> mistakes)
    {
        ArgumentNullException.ThrowIfNull(mistakes);
        int before = mistakes.Count;
        Register? previous = null;
        foreach (Register register in _registers.OrderBy(r => r.Offset))
        {
            string what = string.Create(CultureInfo.InvariantCulture, $"register '{register.Name}' of block '{Name}' at 0x{register.Offset:X}");
            if (register.End > Size)
            {
                mistakes.Add(string.Create(CultureInfo.InvariantCulture, $"{what} ends outside the block, which has 0x{Size:X} bytes; make the block larger or move the register."));
            }

            if (register.Offset % (ulong)register.Width != 0)
            {
                mistakes.Add(string.Create(CultureInfo.InvariantCulture, $"{what} is not aligned; its offset must be a multiple of its {register.Width} bytes."));
            }

            if (register.Count < 1 || (register.Count > 1 && (register.Stride < (ulong)register.Width || register.Stride % (ulong)register.Width != 0)))
            {
                mistakes.Add(string.Create(CultureInfo.InvariantCulture, $"{what}: an array needs at least one element and a stride that is a multiple of {register.Width}."));
            }

            // Arrays with gaps may interleave; the slots find real collisions below. Plain ones are named here.
            if (previous is not null && previous.Count == 1 && register.Offset < previous.Offset + (ulong)previous.Width)
            {
                mistakes.Add($"{what} overlaps '{previous.Name}'; each byte may belong to one register.");
            }

            previous = register;
        }

        if (mistakes.Count == before && !_isSealed)
        {
            BuildSlots(mistakes);
        }
    }

    private static ulong Ones(int width) => width == 8 ? ulong.MaxValue : (1UL << (width * 8)) - 1;

    private static ulong Content(Register register, int index)
        => register.Cell is { } cell ? cell.Value : register.ReadValue is { } read ? read(index) : 0;

    private static AccessResult Locate(Register register, ulong offset, int width, out int index, out int inner)
    {
        ulong relative = offset - register.Offset;
        index = 0;
        if (register.Count > 1)
        {
            index = (int)(relative / register.Stride);
            relative -= (ulong)index * register.Stride;
        }

        inner = (int)relative;
        if (width == register.Width && inner == 0)
        {
            return AccessResult.Ok;
        }

        if (register.Access == RegisterAccess.Reserved)
        {
            return AccessResult.Ok;
        }

        if (width > register.Width || ((int)register.Widths & width) == 0)
        {
            return AccessResult.InvalidAccessSize;
        }

        if (register.Narrow == NarrowAccess.ZeroExtend && inner != 0)
        {
            return AccessResult.InvalidRegister;
        }

        return inner % width == 0 ? AccessResult.Ok : AccessResult.Unaligned;
    }

    private Register? Find(ulong offset)
    {
        if (!_isSealed)
        {
            Seal();
        }

        ulong slot = offset >> _slotShift;
        if (slot >= (ulong)_slots.Length)
        {
            return null;
        }

        int found = _slots[slot];
        return found == 0 ? null : _sealed[found - 1];
    }

    private void Seal()
    {
        var mistakes = new List<string>();
        Validate(mistakes);
        if (mistakes.Count != 0)
        {
            throw new PciConfigurationException(mistakes);
        }
    }

    private void BuildSlots(ICollection<string> mistakes)
    {
        ulong granule = 8;
        ulong end = 0;
        _maxWidth = 1;
        foreach (Register register in _registers)
        {
            _maxWidth = Math.Max(_maxWidth, register.Width);
            granule = Math.Min(granule, (ulong)register.Width);
            end = Math.Max(end, (ulong)register.End);
        }

        _slotShift = (int)ulong.Log2(granule);
        if (end >> _slotShift > MaxSlots)
        {
            mistakes.Add(string.Create(CultureInfo.InvariantCulture, $"block '{Name}' reaches to 0x{end:X}; a map holds at most {MaxSlots} slots of its smallest register: split it into several blocks."));
            return;
        }

        _sealed = [.. _registers];
        _slots = new int[(end + granule - 1) >> _slotShift];
        for (int i = 0; i < _sealed.Length; i++)
        {
            Register register = _sealed[i];
            for (int element = 0; element < register.Count; element++)
            {
                ulong first = (register.Offset + ((ulong)element * register.Stride)) >> _slotShift;
                for (ulong slot = first; slot < first + ((ulong)register.Width >> _slotShift); slot++)
                {
                    if (_slots[slot] != 0)
                    {
                        mistakes.Add(string.Create(CultureInfo.InvariantCulture, $"register '{register.Name}' of block '{Name}' overlaps '{_sealed[_slots[slot] - 1].Name}' at 0x{slot << _slotShift:X}; each byte may belong to one register."));
                        return;
                    }

                    _slots[slot] = i + 1;
                }
            }
        }

        _isSealed = true;
    }
}
