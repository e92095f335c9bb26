using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <content>A connection at rest: nothing arrives, and it holds no thread and no buffers. Lock order: a registration of the event loop, then <see cref="_restLock"/>.</content>
internal sealed partial class ServerConnection
{
    /// <summary>As many busy connections have threads that wait for a while; of more, each rests as soon as it has nothing to do.</summary>
    private static readonly int s_manyThreads = 16 + (4 * Environment.ProcessorCount);

    private static readonly TimeSpan s_retry = TimeSpan.FromMilliseconds(100);
    private readonly Lock _restLock = new();
    private readonly Action _run;
    private readonly Func<ServerConnection, ServerConnection?> _ended;
    private readonly ITimer _timer;
    private IDisposable? _rest;
    private long _connected;
    private bool _lacksThread;
    private bool _cannotRest;

    /// <summary>Whether so many are busy that nobody keeps a thread that has nothing to do.</summary>
    public static bool MustNotWait(WorkerThreads threads) => threads.Busy > s_manyThreads;

    private TimeSpan NegotiationLeft => _options.NegotiationTimeout - _host.TimeProvider.GetElapsedTime(_connected);

    /// <summary>
    /// Gives thread and buffers back and has the host's event loop watch the socket. After success the connection is not the caller's any more: another
    /// thread may be in it already.
    /// </summary>
    private bool TryRest()
    {
        if (_cannotRest || _reader.HasPartialMessage || _queued.Count > 0)
        {
            return false;
        }

        _reader.Release();
        _freeCommands.Clear();
        _writer.Release();
        _memory.Trim();

        // The thread will be somebody else's.
        _answering.Exit();
        _thread = null;
        lock (_restLock)
        {
            try
            {
                _cannotRest = _host.EventLoop.TryRegister(_socket.Descriptor, EventLoopEvents.Read, _ => WakeUp(), out _rest) != Errno.None;
            }
            catch (ObjectDisposedException)
            {
                // The host was disposed before its server.
                _cannotRest = true;
            }

            if (_cannotRest)
            {
                _thread = Thread.CurrentThread;
                MayWorkHere();
                return false;
            }

            if (!_negotiated)
            {
                TimeSpan left = NegotiationLeft;
                _timer.Change(left > TimeSpan.Zero ? left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
            }

            return true;
        }
    }

    /// <summary>On the event loop: something has arrived.</summary>
    private void WakeUp()
    {
        lock (_restLock)
        {
            _rest?.Dispose();
            _rest = null;
            Resume();
        }
    }

    /// <summary>Caller holds the lock.</summary>
    private void Resume()
    {
        _lacksThread = _host.Workers.TryRun(_run) != Errno.None;
        _timer.Change(_lacksThread ? s_retry : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (_lacksThread)
        {
            LogNoThread(_deviceName);
        }
    }

    private void OnTimer()
    {
        lock (_restLock)
        {
            if (_lacksThread)
            {
                Resume();
                return;
            }

            if (_rest is null || _negotiated)
            {
                return;
            }
        }

        // The end of the stream wakes the connection up, which then finds that it has ended.
        LogTimeout(_deviceName);
        Shutdown(ConnectionEnd.TimedOut);
    }
}
