namespace Vfio.Devices.Serial;

/// <summary>A bounded queue of bytes. Not safe for concurrent use.</summary>
internal sealed class ByteQueue(int capacity)
{
    private readonly byte[] _bytes = new byte[capacity];
    private int _head;

    public int Count { get; private set; }

    public int Capacity => _bytes.Length;

    public int Room => _bytes.Length - Count;

    public void Clear()
    {
        _head = 0;
        Count = 0;
    }

    /// <summary>Appends as many bytes as fit.</summary>
    /// <returns>How many.</returns>
    public int Enqueue(ReadOnlySpan<byte> bytes)
    {
        int taken = Math.Min(bytes.Length, Room);
        for (int i = 0; i < taken; i++)
        {
            _bytes[(_head + Count + i) % _bytes.Length] = bytes[i];
        }

        Count += taken;
        return taken;
    }

    /// <summary>Copies the first bytes without removing them.</summary>
    /// <returns>How many.</returns>
    public int Peek(Span<byte> destination)
    {
        int given = Math.Min(destination.Length, Count);
        for (int i = 0; i < given; i++)
        {
            destination[i] = _bytes[(_head + i) % _bytes.Length];
        }

        return given;
    }

    public void Remove(int count)
    {
        _head = (_head + count) % _bytes.Length;
        Count -= count;
    }

    /// <summary>Removes the first bytes.</summary>
    /// <returns>How many.</returns>
    public int Dequeue(Span<byte> destination)
    {
        int given = Peek(destination);
        Remove(given);
        return given;
    }
}
