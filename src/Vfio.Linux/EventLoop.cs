using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// One thread that waits for any number of descriptors and calls back (<c>epoll(7)</c>, level-triggered). For many things that are mostly idle:
/// unmask eventfds, doorbells, idle connections. The thread starts with the first registration.
/// </summary>
/// <remarks>
/// A callback runs on the loop's thread and delays all others, so it does not wait. Because readiness is a level, a callback that neither consumes
/// what is ready nor disposes its registration is called again at once.
/// Lock order: the gate of a registration first (it is held while its callback runs, and a callback may register), then <c>_lifecycle</c>. Neither is
/// held while waiting for events.
/// </remarks>
public sealed class EventLoop : IDisposable
{
    private const int BatchSize = 64;

    /// <summary><c>struct epoll_event</c> is packed on x86-64 and nowhere else.</summary>
    private static readonly int s_eventSize = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    private static readonly int s_dataOffset = s_eventSize - sizeof(ulong);

    private readonly string _name;
    private readonly Action<Exception>? _onException;
    private readonly ConcurrentDictionary<ulong, Registration> _registrations = new();
    private readonly Lock _lifecycle = new();
    private FileDescriptor? _epoll;
    private EventFd? _wake;
    private Thread? _thread;
    private ulong _lastId;
    private volatile bool _stopping;

    /// <summary>Makes a loop without starting its thread.</summary>
    /// <param name="name">The thread's name; Linux shows the first 15 characters.</param>
    /// <param name="onException">Called on the loop's thread with what a callback threw; the loop goes on. Null to ignore it.</param>
    public EventLoop(string name = "vfio events", Action<Exception>? onException = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        _name = name;
        _onException = onException;
    }

    /// <summary>True on the loop's own thread, that is, inside a callback.</summary>
    public bool IsCurrentThread => Thread.CurrentThread == _thread;

    /// <summary>How many registrations are alive.</summary>
    public int Count => _registrations.Count;

    /// <summary>Calls back whenever the descriptor is ready, until the registration is disposed.</summary>
    /// <param name="fd">The descriptor. It stays the caller's, and is kept open while it is registered. One descriptor can be registered once in a loop.</param>
    /// <param name="events">What to wait for; errors and hang-ups are always reported.</param>
    /// <param name="callback">Gets what was found.</param>
    /// <returns>
    /// The registration. After its <c>Dispose</c> has returned no callback runs and none will; called from inside the callback, the running one is the last.
    /// </returns>
    /// <exception cref="LinuxException">The descriptor cannot be waited for (EPERM: a regular file), or is registered already (EEXIST).</exception>
    /// <exception cref="ObjectDisposedException">The loop is disposed.</exception>
    public IDisposable Register(FileDescriptor fd, EventLoopEvents events, Action<EventLoopEvents> callback)
    {
        TryRegister(fd, events, callback, out IDisposable? registration).ThrowIfError("watch a descriptor");
        return registration!;
    }

    /// <summary><see cref="Register"/> for descriptors that come from a peer: what the kernel refuses is an error number.</summary>
    /// <param name="fd">As in <see cref="Register"/>.</param>
    /// <param name="events">As in <see cref="Register"/>.</param>
    /// <param name="callback">As in <see cref="Register"/>.</param>
    /// <param name="registration">The registration after success.</param>
    /// <exception cref="ObjectDisposedException">The loop is disposed.</exception>
    public Errno TryRegister(FileDescriptor fd, EventLoopEvents events, Action<EventLoopEvents> callback, out IDisposable? registration)
    {
        ArgumentNullException.ThrowIfNull(fd);
        ArgumentNullException.ThrowIfNull(callback);
        registration = null;
        lock (_lifecycle)
        {
            ObjectDisposedException.ThrowIf(_stopping, this);
            Errno error = EnsureStarted();
            if (error != Errno.None)
            {
                return error;
            }

            Registration result = new(this, ++_lastId, fd, callback);
            bool added = false;
            fd.DangerousAddRef(ref added);
            _registrations[result.Id] = result;
            error = Control(Interop.EpollAdd, fd, (uint)events, result.Id);
            if (error != Errno.None)
            {
                _registrations.TryRemove(result.Id, out _);
                fd.DangerousRelease();
                return error;
            }

            registration = result;
            return Errno.None;
        }
    }

    /// <summary>
    /// Stops the thread and waits for it (unless called on it), so that no callback runs afterwards. Registrations end; descriptors stay their owners'.
    /// Idempotent.
    /// </summary>
    public void Dispose()
    {
        Thread? thread;
        lock (_lifecycle)
        {
            _stopping = true;
            thread = _thread;
            _ = _wake?.Signal();
        }

        foreach (Registration registration in _registrations.Values)
        {
            registration.Dispose();
        }

        if (thread is null || thread == Thread.CurrentThread)
        {
            // The loop closes its own descriptors when this callback has returned.
            return;
        }

        thread.Join();
    }

    private Errno EnsureStarted()
    {
        if (_thread is not null)
        {
            return Errno.None;
        }

        int fd = Interop.EpollCreate(Interop.EpollCloseOnExec);
        if (fd < 0)
        {
            return Interop.LastError;
        }

        _epoll = new FileDescriptor(fd, ownsHandle: true);
        int wake = Interop.Eventfd(0, Interop.EventfdCloseOnExec | Interop.EventfdNonBlocking);
        Errno error = wake < 0 ? Interop.LastError : Errno.None;
        if (error == Errno.None)
        {
            _wake = EventFd.FromOwned(wake);
            error = Control(Interop.EpollAdd, _wake.Descriptor, (uint)EventLoopEvents.Read, 0);
        }

        if (error != Errno.None)
        {
            _wake?.Dispose();
            _epoll.Dispose();
            _wake = null;
            _epoll = null;
            return error;
        }

        _thread = new Thread(Run) { IsBackground = true, Name = _name };
        _thread.Start();
        return Errno.None;
    }

    private unsafe Errno Control(int operation, FileDescriptor fd, uint events, ulong id)
    {
        byte* entry = stackalloc byte[16];
        *(uint*)entry = events;

        // SAFETY: 16 bytes hold either layout of the structure.
        System.Runtime.CompilerServices.Unsafe.WriteUnaligned(entry + s_dataOffset, id);
        return Interop.ToErrno(Interop.EpollControl(_epoll!, operation, fd, entry));
    }

    private unsafe void Run()
    {
        byte* batch = stackalloc byte[BatchSize * 16];
        FileDescriptor epoll = _epoll!;
        while (!_stopping)
        {
            // SAFETY: room for BatchSize entries of either layout.
            int count = Interop.EpollWait(epoll, batch, BatchSize, -1);
            for (int i = 0; i < count && !_stopping; i++)
            {
                byte* entry = batch + (i * s_eventSize);
                ulong id = System.Runtime.CompilerServices.Unsafe.ReadUnaligned<ulong>(entry + s_dataOffset);
                if (_registrations.TryGetValue(id, out Registration? registration))
                {
                    registration.Invoke((EventLoopEvents)(*(uint*)entry));
                }
            }
        }

        lock (_lifecycle)
        {
            epoll.Dispose();
            _epoll = null;
            _wake!.Dispose();
            _wake = null;
        }
    }

    private void Report(Exception exception)
    {
        try
        {
            _onException?.Invoke(exception);
        }
        catch (Exception)
        {
            // The reporter's own mistake must not end a loop that serves others.
        }
    }

    private void Remove(Registration registration)
    {
        if (_registrations.TryRemove(registration.Id, out _))
        {
            lock (_lifecycle)
            {
                if (_epoll is not null)
                {
                    _ = Control(Interop.EpollDelete, registration.Descriptor, 0, 0);
                }
            }

            registration.Descriptor.DangerousRelease();
        }
    }

    private sealed class Registration(EventLoop loop, ulong id, FileDescriptor descriptor, Action<EventLoopEvents> callback) : IDisposable
    {
        /// <summary>Held while the callback runs, which is what makes Dispose wait for it; re-entrant for a callback that disposes.</summary>
        private readonly Lock _gate = new();
        private bool _disposed;

        internal ulong Id => id;

        internal FileDescriptor Descriptor => descriptor;

        public void Dispose()
        {
            lock (_gate)
            {
                if (_disposed)
                {
                    return;
                }

                _disposed = true;
                loop.Remove(this);
            }
        }

        internal void Invoke(EventLoopEvents events)
        {
            lock (_gate)
            {
                if (_disposed)
                {
                    return;
                }

                try
                {
                    callback(events);
                }
                catch (Exception exception)
                {
                    loop.Report(exception);
                }
            }
        }
    }
}
