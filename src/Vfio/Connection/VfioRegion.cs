using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio;

/// <summary>A region of a connected device, read and written by exact widths, little endian as PCI is.</summary>
/// <remarks>Every access is one access of the device. A refused one throws <see cref="VfioException"/>; see <see cref="VfioConnection.TryRead"/> for values.</remarks>
public readonly struct VfioRegion
{
    private readonly VfioConnection _connection;

    internal VfioRegion(VfioConnection connection, uint index)
    {
        _connection = connection;
        Index = index;
    }

    /// <summary>The region index.</summary>
    public uint Index { get; }

    /// <summary>Size in bytes; 0 when the region does not exist.</summary>
    public ulong Size => Index < (uint)_connection.Regions.Count ? _connection.Regions[(int)Index].Size : 0;

    /// <summary>Reads a byte.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <returns>The value.</returns>
    public byte Read8(ulong offset) => Read<byte>(offset);

    /// <summary>Reads two bytes at once.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <returns>The value.</returns>
    public ushort Read16(ulong offset) => Read<ushort>(offset);

    /// <summary>Reads four bytes at once.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <returns>The value.</returns>
    public uint Read32(ulong offset) => Read<uint>(offset);

    /// <summary>Reads eight bytes at once.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <returns>The value.</returns>
    public ulong Read64(ulong offset) => Read<ulong>(offset);

    /// <summary>Writes a byte.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="value">The value.</param>
    public void Write8(ulong offset, byte value) => Write(offset, value);

    /// <summary>Writes two bytes at once.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="value">The value.</param>
    public void Write16(ulong offset, ushort value) => Write(offset, value);

    /// <summary>Writes four bytes at once.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="value">The value.</param>
    public void Write32(ulong offset, uint value) => Write(offset, value);

    /// <summary>Writes eight bytes at once.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="value">The value.</param>
    public void Write64(ulong offset, ulong value) => Write(offset, value);

    /// <summary>Reads many bytes.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="buffer">Receives them.</param>
    public void Read(ulong offset, Span<byte> buffer)
    {
        Errno error = _connection.TryRead(Index, offset, buffer);
        if (error != Errno.None)
        {
            Throw(error, "read", offset, buffer.Length);
        }
    }

    /// <summary>Writes many bytes.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="buffer">The bytes.</param>
    public void Write(ulong offset, ReadOnlySpan<byte> buffer)
    {
        Errno error = _connection.TryWrite(Index, offset, buffer);
        if (error != Errno.None)
        {
            Throw(error, "write", offset, buffer.Length);
        }
    }

    private T Read<T>(ulong offset)
        where T : unmanaged
    {
        Unsafe.SkipInit(out T value);
        Read(offset, MemoryMarshal.AsBytes(new Span<T>(ref value)));
        return value;
    }

    private void Write<T>(ulong offset, T value)
        where T : unmanaged
        => Write(offset, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    private void Throw(Errno error, string verb, ulong offset, int length)
        => throw new VfioException(
            error,
            $"{verb} {length} bytes at 0x{offset:x} of region {(PciRegion)Index} of {_connection.Address}",
            error != Errno.EINVAL ? null
                : Size != 0 ? $"The region has 0x{Size:x} bytes."
                : $"The device has no such region; it has {string.Join(", ", _connection.Regions.Where(static r => r.Size != 0).Select(static r => (PciRegion)r.Index))}.");
}
