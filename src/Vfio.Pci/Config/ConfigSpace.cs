using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Pci;

/// <summary>
/// The configuration space of a function: an image, and for every bit whether it can be written, cleared by writing one, or acts as a
/// trigger. Accesses of any width and alignment are byte-exact and never fail inside the space.
/// </summary>
/// <remarks>
/// Safe for concurrent use; one lock, innermost of the device's locks, held for a copy. Accesses do not allocate.
/// The layout is fixed once <see cref="PciDeviceBuilder"/> has made it.
/// </remarks>
public sealed class ConfigSpace
{
    /// <summary>Length of the conventional space, in bytes.</summary>
    public const int ConventionalLength = 256;

    /// <summary>Length of the extended (PCI Express) space, in bytes.</summary>
    public const int ExtendedLength = 4096;

    private readonly Lock _lock = new();
    private readonly byte[] _image;
    private readonly byte[] _powerOn;
    private readonly byte[] _writable;
    private readonly byte[] _clearable;
    private readonly byte[] _trigger;
    private readonly ConfigEvents[] _watch;

    internal ConfigSpace(int length)
    {
        _image = new byte[length];
        _powerOn = new byte[length];
        _writable = new byte[length];
        _clearable = new byte[length];
        _trigger = new byte[length];
        _watch = new ConfigEvents[length];
    }

    /// <summary>256 or 4096 bytes.</summary>
    public int Length => _image.Length;

    /// <summary>Reads bytes.</summary>
    /// <param name="offset">Offset of the first byte.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EFAULT"/> when the range does not lie in the space: then nothing is read (spec vfio-core §5.8).</returns>
    public Errno Read(ulong offset, Span<byte> destination)
    {
        if (!Contains(offset, destination.Length))
        {
            return Errno.EFAULT;
        }

        lock (_lock)
        {
            _image.AsSpan((int)offset, destination.Length).CopyTo(destination);
        }

        return Errno.None;
    }

    /// <summary>A register's value, for the device.</summary>
    /// <param name="offset">Offset of the register.</param>
    /// <returns>The byte.</returns>
    public byte GetByte(int offset)
    {
        lock (_lock)
        {
            return _image[offset];
        }
    }

    /// <summary>A register's value, for the device.</summary>
    /// <param name="offset">Offset of the register.</param>
    /// <returns>The 16-bit value.</returns>
    public ushort GetWord(int offset)
    {
        lock (_lock)
        {
            return BinaryPrimitives.ReadUInt16LittleEndian(_image.AsSpan(offset));
        }
    }

    /// <summary>A register's value, for the device.</summary>
    /// <param name="offset">Offset of the register.</param>
    /// <returns>The 32-bit value.</returns>
    public uint GetDword(int offset)
    {
        lock (_lock)
        {
            return BinaryPrimitives.ReadUInt32LittleEndian(_image.AsSpan(offset));
        }
    }

    /// <summary>Changes bits as the device, regardless of what software may write.</summary>
    /// <param name="offset">Offset of a 32-bit quantity; need not be aligned.</param>
    /// <param name="mask">The bits to change.</param>
    /// <param name="value">Their new values.</param>
    public void Update(int offset, uint mask, uint value)
    {
        lock (_lock)
        {
            for (int i = 0; mask != 0; i++, mask >>= 8, value >>= 8)
            {
                byte bits = (byte)mask;
                _image[offset + i] = (byte)((_image[offset + i] & ~bits) | ((byte)value & bits));
            }
        }
    }

    /// <summary>Writes bytes as software: each bit does what the layout says.</summary>
    /// <param name="offset">Offset of the first byte.</param>
    /// <param name="source">The bytes.</param>
    /// <param name="events">What the device has to react to.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EFAULT"/> when the range does not lie in the space: then nothing is written.</returns>
    internal Errno Write(ulong offset, ReadOnlySpan<byte> source, out ConfigEvents events)
    {
        events = ConfigEvents.None;
        if (!Contains(offset, source.Length))
        {
            return Errno.EFAULT;
        }

        lock (_lock)
        {
            for (int i = 0; i < source.Length; i++)
            {
                int at = (int)offset + i;
                byte written = source[i];
                byte old = _image[at];
                byte next = (byte)((old & ~_writable[at]) | (written & _writable[at]));
                next = (byte)(next & ~(written & _clearable[at]));
                _image[at] = next;
                if (next != old)
                {
                    events |= _watch[at] & ~ConfigEvents.FunctionReset;
                }

                if ((written & _trigger[at]) != 0)
                {
                    events |= _watch[at] & ConfigEvents.FunctionReset;
                }
            }
        }

        return Errno.None;
    }

    /// <summary>Gives a register its power-on value and its rules. Build time only.</summary>
    internal void Define(int offset, int width, ulong value, ulong writable = 0, ulong clearable = 0, ulong trigger = 0, ConfigEvents watch = ConfigEvents.None)
    {
        for (int i = 0; i < width; i++)
        {
            int shift = i * 8;
            _image[offset + i] = (byte)(value >> shift);
            _powerOn[offset + i] = (byte)(value >> shift);
            _writable[offset + i] = (byte)(writable >> shift);
            _clearable[offset + i] = (byte)(clearable >> shift);
            _trigger[offset + i] = (byte)(trigger >> shift);
            _watch[offset + i] |= watch;
        }
    }

    /// <summary>Returns everything to its power-on value.</summary>
    internal void PowerOn()
    {
        lock (_lock)
        {
            _powerOn.CopyTo(_image, 0);
        }
    }

    /// <summary>Returns a part to its power-on value.</summary>
    internal void PowerOn(int offset, int length)
    {
        lock (_lock)
        {
            _powerOn.AsSpan(offset, length).CopyTo(_image.AsSpan(offset));
        }
    }

    internal (byte Writable, byte Clearable, byte Trigger) Rule(int offset) => (_writable[offset], _clearable[offset], _trigger[offset]);

    private bool Contains(ulong offset, int length) => offset <= (ulong)_image.Length && (ulong)length <= (ulong)_image.Length - offset;
}
