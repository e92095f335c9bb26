using System.Buffers.Binary;

namespace Vfio.Pci;

/// <summary>
/// What a device's own state is read with. The state may come from anywhere: what lies behind its end reads as zeros, and <see cref="IsBroken"/>
/// tells it, so that a device looks once, after it has read what it needs and before it uses it.
/// </summary>
/// <param name="state">The state.</param>
public ref struct DeviceStateReader(ReadOnlySpan<byte> state)
{
    private ReadOnlySpan<byte> _rest = state;

    /// <summary>Whether something was read behind the end.</summary>
    public bool IsBroken { readonly get; private set; }

    /// <summary>Bytes that are left.</summary>
    public readonly int Left => _rest.Length;

    /// <summary>Reads a byte.</summary>
    /// <returns>The value.</returns>
    public byte ReadByte() => ReadBytes(1) is [var value] ? value : (byte)0;

    /// <summary>Reads a byte of 0 or 1; another one breaks the state.</summary>
    /// <returns>The value.</returns>
    public bool ReadBoolean()
    {
        byte value = ReadByte();
        IsBroken |= value > 1;
        return value == 1;
    }

    /// <summary>Reads two bytes.</summary>
    /// <returns>The value.</returns>
    public ushort ReadUInt16() => ReadBytes(sizeof(ushort)) is { IsEmpty: false } bytes ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : (ushort)0;

    /// <summary>Reads four bytes.</summary>
    /// <returns>The value.</returns>
    public uint ReadUInt32() => ReadBytes(sizeof(uint)) is { IsEmpty: false } bytes ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : 0;

    /// <summary>Reads eight bytes.</summary>
    /// <returns>The value.</returns>
    public ulong ReadUInt64() => ReadBytes(sizeof(ulong)) is { IsEmpty: false } bytes ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : 0;

    /// <summary>Reads bytes.</summary>
    /// <param name="length">How many; any number.</param>
    /// <returns>The bytes, or none when there are not so many.</returns>
    public ReadOnlySpan<byte> ReadBytes(long length)
    {
        if (length < 0 || length > _rest.Length)
        {
            IsBroken = true;
            _rest = default;
            return default;
        }

        ReadOnlySpan<byte> bytes = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return bytes;
    }
}
