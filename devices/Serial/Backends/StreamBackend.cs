using Vfio.Linux;

namespace Vfio.Devices.Serial;

/// <summary>
/// A pair of streams that can only be read and written by waiting, such as standard input and output: one thread for each direction, and a
/// bounded queue between it and the port.
/// </summary>
public sealed class StreamBackend : ISerialBackend
{
    private const int Capacity = 4096;
    private readonly Lock _lock = new();
    private readonly ByteQueue _arrived = new(Capacity);
    private readonly ByteQueue _leaving = new(Capacity);
    private readonly SemaphoreSlim _room = new(0);
    private readonly SemaphoreSlim _work = new(0);
    private readonly Stream _input;
    private readonly Stream _output;
    private Action? _changed;
    private volatile bool _disposed;

    /// <summary>Makes a line of two streams.</summary>
    /// <param name="input">What the guest receives.</param>
    /// <param name="output">Where the guest's bytes go.</param>
    /// <param name="address">What to show as <see cref="Address"/>.</param>
    public StreamBackend(Stream input, Stream output, string address = "streams")
    {
        _input = input;
        _output = output;
        Address = address;
    }

    /// <inheritdoc/>
    public string Address { get; }

    /// <inheritdoc/>
    public bool IsConnected => true;

    /// <summary>Makes a line of this process's standard input and output.</summary>
    /// <returns>The backend.</returns>
    public static StreamBackend OpenStandard() => new(Console.OpenStandardInput(), Console.OpenStandardOutput(), "stdio");

    /// <inheritdoc/>
    public void Start(EventLoop loop, Action changed)
    {
        _changed = changed;

        // Background threads: one that waits in a read of standard input cannot be woken, and must not keep the process.
        new Thread(ReadLoop) { IsBackground = true, Name = "serial input" }.Start();
        new Thread(WriteLoop) { IsBackground = true, Name = "serial output" }.Start();
    }

    /// <inheritdoc/>
    public int Read(Span<byte> buffer)
    {
        int count;
        lock (_lock)
        {
            count = _arrived.Dequeue(buffer);
            if (count != 0)
            {
                Wake(_room);
            }
        }

        return count;
    }

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> bytes)
    {
        int count;
        lock (_lock)
        {
            count = _leaving.Enqueue(bytes);
            if (count != 0)
            {
                Wake(_work);
            }
        }

        return count;
    }

    /// <summary>Ends the line. The streams stay the caller's. A thread that waits in a read ends with the next byte or with the process.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            Wake(_room);
            Wake(_work);
        }
    }

    /// <summary>
    /// Caller holds the lock. One signal is enough, since whoever waits looks again; more would add up to the semaphore's end, as a
    /// thread that finds enough to do never takes them.
    /// </summary>
    private static void Wake(SemaphoreSlim semaphore)
    {
        if (semaphore.CurrentCount == 0)
        {
            semaphore.Release();
        }
    }

    private void ReadLoop()
    {
        byte[] buffer = new byte[512];
        try
        {
            int count;
            while (!_disposed && (count = _input.Read(buffer)) > 0)
            {
                for (int done = 0; done < count && !_disposed;)
                {
                    lock (_lock)
                    {
                        done += _arrived.Enqueue(buffer.AsSpan(done, count - done));
                    }

                    _changed!();
                    if (done < count)
                    {
                        _room.Wait();
                    }
                }
            }
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException)
        {
            // The stream's owner closed it: nothing more arrives.
        }
    }

    private void WriteLoop()
    {
        byte[] buffer = new byte[512];
        try
        {
            while (!_disposed)
            {
                int count;
                lock (_lock)
                {
                    count = _leaving.Dequeue(buffer);
                }

                if (count == 0)
                {
                    _work.Wait();
                    continue;
                }

                _output.Write(buffer, 0, count);
                _output.Flush();
                _changed!();
            }
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException)
        {
            // Nobody takes the bytes any more; the guest's wait.
        }
    }
}
