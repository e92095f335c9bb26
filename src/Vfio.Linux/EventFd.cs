using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// A counter in the kernel that one side adds to and the other waits for: how interrupts and doorbells travel. Signalling and taking
/// never wait; close-on-exec. Safe for use by many threads.
/// </summary>
public sealed class EventFd : IDisposable
{
    private readonly bool _isBlocking;

    /// <summary>Whether room is asked for before each write: the peer's eventfd is a blocking one, and it has been full.</summary>
    private volatile bool _looksFirst;

    /// <summary>A peer made a write wait that should not have.</summary>
    private volatile bool _isSpoilt;

    /// <summary>Makes a new eventfd.</summary>
    /// <param name="initial">The counter's first value.</param>
    /// <exception cref="LinuxException">The process or the system has no descriptor left.</exception>
    public EventFd(uint initial = 0)
    {
        int fd = Interop.Eventfd(initial, Interop.EventfdCloseOnExec | Interop.EventfdNonBlocking);
        if (fd < 0)
        {
            throw new LinuxException(Interop.LastError, "create an eventfd");
        }

        Descriptor = new FileDescriptor(fd, ownsHandle: true);
    }

    private EventFd(FileDescriptor descriptor, bool isBlocking)
    {
        Descriptor = descriptor;
        _isBlocking = isBlocking;
        _looksFirst = isBlocking && !WriteWatch.CanInterrupt;
    }

    /// <summary>The descriptor, owned by this object.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Takes over a descriptor that came from elsewhere, after checking that it is an eventfd.</summary>
    /// <param name="fd">The descriptor. The new object owns it after success; after a failure it stays the caller's.</param>
    /// <param name="eventFd">The result after success.</param>
    /// <returns>EINVAL if it is not an eventfd.</returns>
    /// <remarks>
    /// Whether reads and writes wait is a property of the open file, which the sender shares and may rely on: libvfio-user's client waits
    /// for interrupts in a read. So it stays as it is. A sender who fills the counter of a blocking one, or makes the file blocking later, makes a
    /// <see cref="Signal"/> wait for a fifth of a second, once; the blocking one is looked at before each write from then on.
    /// </remarks>
    public static Errno TryAdopt(FileDescriptor fd, out EventFd? eventFd)
    {
        ArgumentNullException.ThrowIfNull(fd);
        eventFd = null;
        if (!fd.IsEventFd())
        {
            return Errno.EINVAL;
        }

        Errno error = fd.TryGetNonBlocking(out bool isNonBlocking);
        if (error == Errno.None)
        {
            eventFd = new EventFd(fd, !isNonBlocking);
        }

        return error;
    }

    /// <summary>Adds to the counter. A counter that is full counts as signalled: whoever waits for it is awake already.</summary>
    /// <param name="value">What to add, below <see cref="ulong.MaxValue"/>, which Linux answers with EINVAL; 1 for a peer's, in which there may be no room for more.</param>
    /// <returns>
    /// ETIMEDOUT when the write waited, which only a peer that shares the eventfd can bring about, on purpose; such an eventfd is not written any more. A blocking one
    /// may be full once before.
    /// </returns>
    public unsafe Errno Signal(ulong value = 1)
    {
        if (_isSpoilt)
        {
            return Errno.ETIMEDOUT;
        }

        if (_looksFirst && Poll.Wait(Descriptor, EventLoopEvents.Write, 0).Value == 0)
        {
            return Errno.None;
        }

        WriteWatch.Slot slot = WriteWatch.Begin();
        Errno result = Errno.None;

        // SAFETY: eight bytes of a local.
        while (Interop.Write(Descriptor, &value, sizeof(ulong)) < 0)
        {
            Errno error = Interop.LastError;
            if (error == Errno.EINTR && WriteWatch.IsInterrupted(slot))
            {
                if (_isBlocking && !_looksFirst)
                {
                    // Full, which counts as signalled.
                    _looksFirst = true;
                    break;
                }

                _isSpoilt = true;
                result = Errno.ETIMEDOUT;
                break;
            }

            if (error != Errno.EINTR)
            {
                result = error == Errno.EAGAIN ? Errno.None : error;
                break;
            }
        }

        WriteWatch.End(slot);
        return result;
    }

    /// <summary>Takes the whole counter, without waiting, whatever a peer that shares the eventfd does to its mode meanwhile.</summary>
    /// <param name="count">The sum of what was signalled since the last time; 0 when the result is false.</param>
    /// <returns>False if nothing was signalled.</returns>
    public unsafe bool TryConsume(out ulong count)
    {
        ulong value = 0;
        Interop.IoVector vector = new() { Base = &value, Length = sizeof(ulong) };
        count = 0;

        // SAFETY: eight bytes of a local. At no position: eventfds have none.
        while (Interop.ReadVector(Descriptor, &vector, 1, -1, Interop.ReadWithoutWaiting) < 0)
        {
            Errno error = Interop.LastError;
            if (error != Errno.EINTR)
            {
                return error is Errno.EOPNOTSUPP or Errno.ENOSYS && TryConsumeAfterLooking(out count);
            }
        }

        count = value;
        return true;
    }

    /// <summary>Waits until the counter is not zero, and leaves it as it is.</summary>
    /// <param name="timeoutMilliseconds">The longest time to wait; -1 for ever.</param>
    /// <returns>False after the time-out.</returns>
    public bool Wait(int timeoutMilliseconds) => Poll.Wait(Descriptor, EventLoopEvents.Read, timeoutMilliseconds).Value > 0;

    /// <summary>Closes the descriptor. Idempotent.</summary>
    public void Dispose() => Descriptor.Dispose();

    internal static EventFd FromOwned(int fd) => new(new FileDescriptor(fd, ownsHandle: true), isBlocking: false);

    /// <summary>As <see cref="TryConsume"/>, on a kernel before 5.8, which cannot promise for one read that it does not wait.</summary>
    private unsafe bool TryConsumeAfterLooking(out ulong count)
    {
        ulong value = 0;
        count = 0;
        if (!Wait(0))
        {
            return false;
        }

        // SAFETY: eight bytes of a local.
        while (Interop.Read(Descriptor, &value, sizeof(ulong)) < 0)
        {
            if (Interop.LastError != Errno.EINTR)
            {
                return false;
            }
        }

        count = value;
        return true;
    }
}
