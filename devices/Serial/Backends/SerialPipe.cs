using Vfio.Linux;

namespace Vfio.Devices.Serial;

/// <summary>A line whose other end is code in this process: for tests and for programs that talk to the guest.</summary>
/// <remarks>Safe for concurrent use.</remarks>
public sealed class SerialPipe : ISerialBackend
{
    private readonly Lock _lock = new();
    private readonly ByteQueue _toGuest;
    private readonly ByteQueue _fromGuest;
    private Action? _changed;
    private bool _connected = true;

    /// <summary>Makes a line.</summary>
    /// <param name="capacity">How many bytes each direction holds.</param>
    public SerialPipe(int capacity = 4096)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        _toGuest = new ByteQueue(capacity);
        _fromGuest = new ByteQueue(capacity);
    }

    /// <inheritdoc/>
    public string Address => "pipe";

    /// <summary>Whether the other end is there; may be changed.</summary>
    public bool IsConnected
    {
        get
        {
            lock (_lock)
            {
                return _connected;
            }
        }

        set
        {
            lock (_lock)
            {
                _connected = value;
            }

            _changed?.Invoke();
        }
    }

    /// <summary>Sends bytes to the guest.</summary>
    /// <param name="bytes">The bytes.</param>
    /// <returns>How many the line has taken.</returns>
    public int Send(ReadOnlySpan<byte> bytes)
    {
        int count;
        lock (_lock)
        {
            count = _toGuest.Enqueue(bytes);
        }

        _changed?.Invoke();
        return count;
    }

    /// <summary>Gets bytes that the guest has sent.</summary>
    /// <param name="buffer">Receives them.</param>
    /// <returns>How many.</returns>
    public int Receive(Span<byte> buffer)
    {
        int count;
        lock (_lock)
        {
            count = _fromGuest.Dequeue(buffer);
        }

        _changed?.Invoke();
        return count;
    }

    /// <inheritdoc/>
    public void Start(EventLoop loop, Action changed) => _changed = changed;

    /// <inheritdoc/>
    public int Read(Span<byte> buffer)
    {
        lock (_lock)
        {
            return _toGuest.Dequeue(buffer);
        }
    }

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            return _connected ? _fromGuest.Enqueue(bytes) : 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
