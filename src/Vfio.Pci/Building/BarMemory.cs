using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>Memory in a BAR that users map: a memfd that device and user share. Stores through a mapping are not announced to the device.</summary>
/// <remarks>
/// The memory cannot be shrunk or grown by anybody (it is sealed), so that neither side can be made to fault. What it holds is the
/// peer's to change at any time: copy first, then check. The device that declares it disposes it when it is released.
/// </remarks>
public sealed class BarMemory : IDisposable
{
    private BarFile _file;
    private ulong _fileOffset;
    private MemoryMapping _mapping;
    private bool _disposed;

    /// <summary>Makes zeroed memory.</summary>
    /// <param name="name">A name for <c>/proc</c>.</param>
    /// <param name="size">Length in bytes, a multiple of the page size, at most 2 GiB − 1 page.</param>
    /// <exception cref="LinuxException">The system has no memory or descriptor left.</exception>
    public BarMemory(string name, ulong size)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfZero(size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, (ulong)int.MaxValue);
        ArgumentOutOfRangeException.ThrowIfNotEqual(size % (ulong)Environment.SystemPageSize, 0UL, nameof(size));
        Name = name;
        Size = size;
        _file = new BarFile(name, size);
        Errno error = _file.TryMap(0, size, out MemoryMapping? mapping);
        if (error != Errno.None)
        {
            _file.Dispose();
            error.ThrowIfError($"map the BAR memory '{name}'");
        }

        _mapping = mapping!;
        _file.Members.Add(this);
    }

    /// <summary>The memory's name.</summary>
    public string Name { get; }

    /// <summary>Length in bytes.</summary>
    public ulong Size { get; }

    /// <summary>The memory's descriptor, for a user to map; it belongs to the file.</summary>
    internal FileDescriptor Descriptor
    {
        get
        {
            _file.IsShared = true;
            return _file.Descriptor;
        }
    }

    /// <summary>Where the memory starts in the descriptor's file.</summary>
    internal ulong FileOffset => _fileOffset;

    /// <summary>The memory. Valid until <see cref="Dispose"/>.</summary>
    /// <param name="offset">Offset of the first byte.</param>
    /// <param name="length">Length in bytes.</param>
    /// <returns>The bytes, which the user may change at any time.</returns>
    public Span<byte> Slice(int offset, int length) => _mapping.Slice((nuint)offset, length);

    /// <summary>Reads once, atomically for an aligned offset.</summary>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <returns>The value, zero-extended.</returns>
    public ulong Read(ulong offset, int width)
    {
        Span<byte> bytes = _mapping.Slice((nuint)offset, width);
        return width switch
        {
            1 => Volatile.Read(ref bytes[0]),
            2 => Volatile.Read(ref MemoryMarshal.AsRef<ushort>(bytes)),
            4 => Volatile.Read(ref MemoryMarshal.AsRef<uint>(bytes)),
            _ => Volatile.Read(ref MemoryMarshal.AsRef<ulong>(bytes)),
        };
    }

    /// <summary>Writes once, atomically for an aligned offset.</summary>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value.</param>
    public void Write(ulong offset, int width, ulong value)
    {
        Span<byte> bytes = _mapping.Slice((nuint)offset, width);
        switch (width)
        {
            case 1:
                Volatile.Write(ref bytes[0], (byte)value);
                break;
            case 2:
                Volatile.Write(ref MemoryMarshal.AsRef<ushort>(bytes), (ushort)value);
                break;
            case 4:
                Volatile.Write(ref MemoryMarshal.AsRef<uint>(bytes), (uint)value);
                break;
            default:
                Volatile.Write(ref MemoryMarshal.AsRef<ulong>(bytes), value);
                break;
        }
    }

    /// <summary>Unmaps and closes. Users keep what they mapped. Idempotent.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _mapping.Dispose();
        _file.Leave(this);
    }

    /// <summary>
    /// Moves the memory into the file of its BAR: users learn of one descriptor for a region, so that all areas of a BAR lie in one
    /// file, each where it lies in the BAR (spec vfio-user §3.5). What it holds goes along. Before anybody uses the device.
    /// </summary>
    /// <param name="file">The file.</param>
    /// <param name="offset">Where the memory starts in it.</param>
    /// <exception cref="LinuxException">The system has no memory left.</exception>
    internal void MoveTo(BarFile file, ulong offset)
    {
        file.TryMap(offset, Size, out MemoryMapping? mapping).ThrowIfError($"map the BAR memory '{Name}'");
        Slice(0, (int)Size).CopyTo(mapping!.Span);
        _mapping.Dispose();
        _file.Leave(this);
        _file = file;
        _fileOffset = offset;
        _mapping = mapping;
        file.Members.Add(this);
    }

    /// <summary>
    /// Makes the memory zero, and other memory than the one that users mapped, so that an earlier user cannot look at what the next
    /// one does. The device's state lock is held and its works have stopped.
    /// </summary>
    /// <returns><see cref="Errno.None"/>; otherwise the memory was only cleared.</returns>
    internal Errno Renew()
    {
        Errno error = Errno.None;
        if (_file.IsShared)
        {
            error = _file.Replace();
            if (error == Errno.None)
            {
                return error; // Zeros, of which no page is allocated yet.
            }
        }

        Slice(0, (int)Size).Clear();
        return error;
    }

    /// <summary>Uses a new mapping, of the file that took the place of the old one.</summary>
    internal void Use(MemoryMapping mapping)
    {
        _mapping.Dispose();
        _mapping = mapping;
    }
}
