using System.Buffers.Binary;

namespace Vfio.Devices.Igb;

/// <summary>Packets that wait, one behind the other in one piece of memory. Many threads add, one takes.</summary>
/// <param name="size">Bytes.</param>
internal sealed class FrameBuffer(int size)
{
    private const int Header = 4;
    private const int Wrap = -1;

    /// <summary>The header has the origin above the length.</summary>
    private const int OriginShift = 20;
    private const int LengthMask = (1 << OriginShift) - 1;
    private readonly Lock _lock = new();
    private readonly byte[] _memory = GC.AllocateUninitializedArray<byte>(size);
    private int _head;
    private int _tail;
    private int _count;

    public bool IsEmpty => Volatile.Read(ref _count) == 0;

    /// <summary>Adds a packet behind the others.</summary>
    /// <param name="frame">The packet, shorter than 1 MiB.</param>
    /// <param name="origin">Where it comes from, 0 to 255.</param>
    /// <returns>False when there is no room.</returns>
    public bool TryAdd(ReadOnlySpan<byte> frame, int origin)
    {
        int need = (frame.Length + Header + 3) & ~3;
        lock (_lock)
        {
            int tail = _tail;
            if (_count == 0)
            {
                _head = tail = 0;
            }

            if (_count != 0 && tail <= _head)
            {
                // Wrapped: what is free lies between. A tail at the head means full.
                if (tail + need > _head)
                {
                    return false;
                }
            }
            else if (tail + need > _memory.Length)
            {
                if (need > _head || _count == 0)
                {
                    return false;
                }

                if (tail + Header <= _memory.Length)
                {
                    BinaryPrimitives.WriteInt32LittleEndian(_memory.AsSpan(tail), Wrap);
                }

                tail = 0;
            }

            BinaryPrimitives.WriteInt32LittleEndian(_memory.AsSpan(tail), frame.Length | (origin << OriginShift));
            frame.CopyTo(_memory.AsSpan(tail + Header));
            _tail = tail + need;
            _count++;
            return true;
        }
    }

    /// <summary>Looks at the first packet, which stays valid until <see cref="Remove"/>.</summary>
    public bool TryPeek(out ReadOnlySpan<byte> frame, out int origin)
    {
        lock (_lock)
        {
            if (_count == 0)
            {
                frame = default;
                origin = 0;
                return false;
            }

            if (_head + Header > _memory.Length || BinaryPrimitives.ReadInt32LittleEndian(_memory.AsSpan(_head)) == Wrap)
            {
                _head = 0;
            }

            int header = BinaryPrimitives.ReadInt32LittleEndian(_memory.AsSpan(_head));
            origin = header >> OriginShift;
            frame = _memory.AsSpan(_head + Header, header & LengthMask);
            return true;
        }
    }

    /// <summary>Removes the first packet.</summary>
    public void Remove()
    {
        lock (_lock)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(_memory.AsSpan(_head)) & LengthMask;
            _head += (length + Header + 3) & ~3;
            _count--;
        }
    }

    /// <summary>Forgets all packets. Not while another thread looks at one.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            (_head, _tail, _count) = (0, 0, 0);
        }
    }
}
