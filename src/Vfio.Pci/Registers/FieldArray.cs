using System.Numerics;

namespace Vfio.Pci;

/// <summary>A field of each register of an array, by the register's index.</summary>
/// <typeparam name="T">The registers' type.</typeparam>
/// <remarks>Use it with <see cref="VfioPciDevice.StateLock"/> held, as all device state.</remarks>
public readonly ref struct FieldArray<T>
    where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
{
    private readonly Span<T> _registers;
    private readonly T _mask;
    private readonly int _shift;

    /// <summary>Makes it; for generated code.</summary>
    /// <param name="registers">The registers.</param>
    /// <param name="mask">The field's bits in the register.</param>
    /// <param name="shift">The field's lowest bit.</param>
    public FieldArray(Span<T> registers, T mask, int shift)
    {
        _registers = registers;
        _mask = mask;
        _shift = shift;
    }

    /// <summary>How many registers there are.</summary>
    public int Length => _registers.Length;

    /// <summary>The field of one register. Bits of a value that do not fit are dropped.</summary>
    /// <param name="index">The register's index.</param>
    /// <exception cref="IndexOutOfRangeException">There is no such register.</exception>
    public T this[int index]
    {
        get => (_registers[index] & _mask) >> _shift;
        set => _registers[index] = (_registers[index] & ~_mask) | ((value << _shift) & _mask);
    }
}
