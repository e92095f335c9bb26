using System.Diagnostics;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <content>
/// How clients come in. The host's event loop watches the listener while nobody has the device, and while somebody has it, to refuse others. When a client goes, its thread
/// takes the next one itself, and waits for it as long as for a client that does nothing: who reconnects wakes up one thread, not two.
/// Lock order: a registration of the event loop, then <see cref="_lock"/>; so a registration is disposed under the lock only on the loop, inside its callback.
/// </content>
public sealed partial class VfioUserServer
{
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(100);

    /// <summary>When one client has followed another at once, a second one is refused this much later: the loop need not watch each of a row of short connections.</summary>
    private static readonly TimeSpan s_unwatched = TimeSpan.FromMilliseconds(20);

    private readonly ITimer _resume;
    private IDisposable? _registration;

    /// <summary>How long the last client's thread looks for the next one. That thread's.</summary>
    private SpinBudget _budget;

    /// <summary>The last client's thread is looking for the next one, and nobody else accepts.</summary>
    private bool _goesOn;

    /// <summary>Came when the last client had hung up, and waits for its connection to be closed.</summary>
    private UnixSocket? _newcomer;

    private bool RefusesSecond => _options.SecondClient == SecondClientPolicy.Refuse;

    private void StartAccepting()
    {
        lock (_lock)
        {
            if (_stopped || _registration is not null || _goesOn || _newcomer is not null)
            {
                return;
            }

            try
            {
                if (_host.EventLoop.TryRegister(_listener!.Descriptor, EventLoopEvents.Read, _ => Accept(), out _registration) != Errno.None)
                {
                    PauseAccepting();
                }
            }
            catch (ObjectDisposedException)
            {
                // The host was disposed before this server. Nobody can come any more, and the thread of the last client must not fail by it.
            }
        }
    }

    /// <summary>
    /// When this process has no descriptor or memory left for a connection: tries again later. The connection waits, and the loop, which
    /// serves others too, does not spin. Caller holds the lock.
    /// </summary>
    private void PauseAccepting()
    {
        _registration?.Dispose();
        _registration = null;
        _resume.Change(s_pause, Timeout.InfiniteTimeSpan);
    }

    private void ResumeAccepting()
    {
        lock (_lock)
        {
            if (_listener is not null && (_active is null || RefusesSecond))
            {
                StartAccepting();
            }
        }
    }

    /// <summary>On the event loop: takes one connection.</summary>
    private void Accept()
    {
        if (TryTake(out UnixSocket? socket) != Errno.None)
        {
            return;
        }

        bool refused;
        lock (_lock)
        {
            // Asked after the newcomer was taken: who hung up before it came has hung up by now.
            if (!_stopped && (_goesOn || (_active is not null && _active.HasPeerGone())))
            {
                _newcomer = socket;
                _registration?.Dispose();
                _registration = null;
                return;
            }

            refused = _active is not null;
        }

        if (refused)
        {
            LogSecondRefused(DeviceName);
            socket!.Dispose();
            return;
        }

        _ = Start(socket!);
    }

    /// <summary>On the thread of a connection that has ended, with <see cref="_goesOn"/> set: finds the connection that it goes on with.</summary>
    /// <returns>Null when nobody comes: the event loop accepts again.</returns>
    private ServerConnection? StartNext()
    {
        IDisposable? registration;
        lock (_lock)
        {
            (registration, _registration) = (_registration, null);
        }

        // After this the loop is out of Accept.
        registration?.Dispose();
        UnixSocket? socket;
        lock (_lock)
        {
            (socket, _newcomer) = (_newcomer, null);
        }

        if (socket is null && TryTake(out socket) == Errno.EAGAIN)
        {
            socket = WaitForNext();
        }

        ServerConnection? next = socket is null ? null : Start(socket, onThisThread: true);
        lock (_lock)
        {
            _goesOn = false;
            if (next is not null && RefusesSecond && !_stopped)
            {
                _resume.Change(s_unwatched, Timeout.InfiniteTimeSpan);
            }
        }

        if (next is null)
        {
            StartAccepting();
        }

        return next;
    }

    /// <summary>Waits for the next client: first looks, as for a message (<see cref="VfioUserServerOptions.BusyPoll"/>), then sleeps.</summary>
    private UnixSocket? WaitForNext()
    {
        UnixSocket? socket;
        TimeSpan budget = _host.Workers.Busy > Environment.ProcessorCount ? TimeSpan.Zero : _budget.Budget;
        budget = budget < _options.RestAfter ? budget : _options.RestAfter;
        long started = Stopwatch.GetTimestamp();
        while (!_stopped && Stopwatch.GetElapsedTime(started) < budget)
        {
            if (TryTake(out socket) != Errno.EAGAIN)
            {
                _budget.Found();
                return socket;
            }
        }

        if (_stopped || ServerConnection.MustNotWait(_host.Workers))
        {
            return null;
        }

        started = Stopwatch.GetTimestamp();
        try
        {
            _ = Poll.Wait(_listener!.Descriptor, EventLoopEvents.Read, (int)_options.RestAfter.TotalMilliseconds);
        }
        catch (ObjectDisposedException)
        {
            // The server was stopped at this moment.
        }

        _budget.Slept(Stopwatch.GetElapsedTime(started));
        _ = TryTake(out socket);
        return socket;
    }

    /// <summary>Takes a connection that waits, if there is one and its user may.</summary>
    /// <param name="socket">It, after success.</param>
    /// <returns>EAGAIN: there is none, or somebody else was faster. EACCES: it was of another user. Others: the system gives none now; it is tried again later.</returns>
    private Errno TryTake(out UnixSocket? socket)
    {
        lock (_lock)
        {
            // The listener is there until the server is stopped, and never waits.
            socket = null;
            Errno error = _stopped ? Errno.EAGAIN : _listener!.TryAccept(out socket);
            if (error != Errno.None)
            {
                if (error != Errno.EAGAIN)
                {
                    LogNotAccepted(DeviceName, error);
                    PauseAccepting();
                }

                return error;
            }
        }

        if (!IsAllowed(socket!))
        {
            LogUserRefused(DeviceName);
            socket!.Dispose();
            socket = null;
            return Errno.EACCES;
        }

        return Errno.None;
    }

    private bool IsAllowed(UnixSocket socket)
    {
        if (socket.TryGetPeerCredentials(out PeerCredentials peer) != Errno.None)
        {
            return false;
        }

        return _options.AllowedUsers?.Contains(peer.UserId) ?? (peer.UserId == 0 || peer.UserId == UnixSocket.OwnUserId);
    }
}
