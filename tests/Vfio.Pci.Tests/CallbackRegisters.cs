using System.Globalization;

namespace Vfio.Pci.Tests;

/// <summary>Registers of four bytes that ask the test what they hold.</summary>
internal sealed class CallbackRegisters(string name, ulong size) : RegisterBlock(name, size)
{
    private readonly Dictionary<ulong, (Func<uint>? Read, Action<uint>? Write)> _registers = [];

    /// <summary>What <see cref="Validate"/> finds.</summary>
    public IReadOnlyList<string> Mistakes { get; init; } = [];

    /// <summary>Adds a register; without one of the two it is read-only or write-only.</summary>
    public CallbackRegisters Add(ulong offset, Func<uint>? read, Action<uint>? write = null)
    {
        _registers.Add(offset, (read, write));
        return this;
    }

    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = 0;
        AccessResult result = Find(offset, width, out (Func<uint>? Read, Action<uint>? Write) register);
        if (result == AccessResult.Ok)
        {
            result = register.Read is null ? AccessResult.WriteOnly : AccessResult.Ok;
            value = register.Read?.Invoke() ?? 0;
        }

        return result;
    }

    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        AccessResult result = Find(offset, width, out (Func<uint>? Read, Action<uint>? Write) register);
        if (result == AccessResult.Ok)
        {
            result = register.Write is null ? AccessResult.ReadOnly : AccessResult.Ok;
            register.Write?.Invoke((uint)value);
        }

        return result;
    }

    public override string Describe(ulong offset) => string.Create(CultureInfo.InvariantCulture, $"register 0x{offset:X}");

    protected internal override void Validate(ICollection<string> mistakes)
    {
        foreach (string mistake in Mistakes)
        {
            mistakes.Add(mistake);
        }
    }

    private AccessResult Find(ulong offset, int width, out (Func<uint>? Read, Action<uint>? Write) register)
        => !_registers.TryGetValue(offset, out register) ? AccessResult.InvalidRegister
            : width == sizeof(uint) ? AccessResult.Ok
            : AccessResult.InvalidAccessSize;
}
