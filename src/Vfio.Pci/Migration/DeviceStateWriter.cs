using System.Buffers;
using System.Buffers.Binary;

namespace Vfio.Pci;

/// <summary>What a device's own state is written with: little-endian numbers, one after the other. <see cref="DeviceStateReader"/> takes them back.</summary>
public sealed class DeviceStateWriter
{
    private readonly ArrayBufferWriter<byte> _buffer = new();

    internal DeviceStateWriter()
    {
    }

    /// <summary>Bytes written.</summary>
    public int Length => _buffer.WrittenCount;

    internal ReadOnlySpan<byte> Written => _buffer.WrittenSpan;

    /// <summary>Takes what writers of other kinds write.</summary>
    internal IBufferWriter<byte> Buffer => _buffer;

    /// <summary>Writes a byte.</summary>
    /// <param name="value">The value.</param>
    public void WriteByte(byte value) => WriteBytes([value]);

    /// <summary>Writes a byte of 0 or 1.</summary>
    /// <param name="value">The value.</param>
    public void WriteBoolean(bool value) => WriteByte(value ? (byte)1 : (byte)0);

    /// <summary>Writes two bytes.</summary>
    /// <param name="value">The value.</param>
    public void WriteUInt16(ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer.GetSpan(sizeof(ushort)), value);
        _buffer.Advance(sizeof(ushort));
    }

    /// <summary>Writes four bytes.</summary>
    /// <param name="value">The value.</param>
    public void WriteUInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer.GetSpan(sizeof(uint)), value);
        _buffer.Advance(sizeof(uint));
    }

    /// <summary>Writes eight bytes.</summary>
    /// <param name="value">The value.</param>
    public void WriteUInt64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_buffer.GetSpan(sizeof(ulong)), value);
        _buffer.Advance(sizeof(ulong));
    }

    /// <summary>Writes bytes as they are, without their number.</summary>
    /// <param name="value">The bytes.</param>
    public void WriteBytes(ReadOnlySpan<byte> value) => _buffer.Write(value);

    /// <summary>Gives memory to write bytes into, which count as written.</summary>
    /// <param name="length">How many, at least 1.</param>
    /// <returns>The memory; fill it before the next call.</returns>
    public Span<byte> Reserve(int length)
    {
        Span<byte> memory = _buffer.GetSpan(length)[..length];
        _buffer.Advance(length);
        return memory;
    }
}
