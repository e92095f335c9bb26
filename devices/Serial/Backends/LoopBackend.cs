using Vfio.Linux;

namespace Vfio.Devices.Serial;

/// <summary>A loop-back plug: what is sent arrives.</summary>
public sealed class LoopBackend : ISerialBackend
{
    private readonly Lock _lock = new();
    private readonly ByteQueue _queue = new(4096);
    private Action? _changed;

    /// <inheritdoc/>
    public string Address => "loop";

    /// <inheritdoc/>
    public bool IsConnected => true;

    /// <inheritdoc/>
    public void Start(EventLoop loop, Action changed) => _changed = changed;

    /// <inheritdoc/>
    public int Read(Span<byte> buffer)
    {
        int count;
        lock (_lock)
        {
            count = _queue.Dequeue(buffer);
        }

        if (count != 0)
        {
            _changed?.Invoke();
        }

        return count;
    }

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> bytes)
    {
        int count;
        lock (_lock)
        {
            count = _queue.Enqueue(bytes);
        }

        if (count != 0)
        {
            _changed?.Invoke();
        }

        return count;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
