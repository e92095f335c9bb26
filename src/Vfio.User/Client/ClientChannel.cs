using System.Diagnostics;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>Requests and replies of a client on its main socket.</summary>
/// <remarks>
/// <para>
/// A thread that makes a request receives its reply itself: no other thread has to wake it. When several wait, one of them has the role
/// of the receiver, gives the others their replies, serves commands of the server, and hands the role on when its own reply is there.
/// When nobody waits, a background thread (<see cref="StartBackground"/>) takes the role for as long as something has arrived.
/// </para>
/// <para>
/// Replies are matched by id and command; whatever nobody waits for is dropped. Nothing here throws, and a request and its reply
/// allocate nothing in the steady state. Lock order: <see cref="_lock"/> is a leaf.
/// </para>
/// </remarks>
internal sealed class ClientChannel : IDisposable
{
    private const int HighestErrno = 4095;
    private readonly UnixSocket _socket;
    private readonly MessageReader _reader;
    private readonly MessageWriter _writer;
    private readonly ReverseService _service;
    private readonly Lock _lock = new();
    private readonly Dictionary<ushort, PendingRequest> _pending = [];
    private readonly Stack<PendingRequest> _free = new();
    private readonly ManualResetEventSlim _stop = new(false);
    private Thread? _background;
    private TimeSpan _timeout;
    private Errno _failure;
    private ushort _nextId;
    private bool _receiving;
    private bool _closed;

    public ClientChannel(UnixSocket socket, MessageWriter writer, ReverseService service, int maximumMessage, TimeSpan timeout)
    {
        _socket = socket;
        _writer = writer;
        _service = service;
        _reader = new MessageReader(socket, maximumMessage);
        Timeout = timeout;
    }

    /// <summary>How long a request waits for its reply. Set before the channel is shared.</summary>
    public TimeSpan Timeout
    {
        get => _timeout;
        set
        {
            _timeout = value;
            _socket.SetReceiveTimeout(value);
            _socket.SetSendTimeout(value);
        }
    }

    /// <summary>Why no request can be made any more, or <see cref="Errno.None"/>.</summary>
    public Errno Failure
    {
        get
        {
            lock (_lock)
            {
                return _failure;
            }
        }
    }

    /// <summary>Sends a request and waits for its reply.</summary>
    /// <param name="command">The command.</param>
    /// <param name="message">Room for the header, which is filled in here, and the start of the payload.</param>
    /// <param name="data">The rest of the payload.</param>
    /// <param name="descriptors">Descriptors to send; they stay the caller's.</param>
    /// <param name="reply">Receives the start of the reply's payload.</param>
    /// <param name="replyData">Receives what follows.</param>
    /// <param name="length">Length of the reply's payload, which may be more than there was room for.</param>
    /// <param name="received">Receives the reply's descriptors; null to have them closed.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; the server's error; <see cref="Errno.ETIMEDOUT"/>; <see cref="Errno.ENOTCONN"/> when the connection has ended,
    /// <see cref="Errno.EPROTO"/> when the server broke it.
    /// </returns>
    public Errno Exchange(
        VfioUserCommand command,
        Span<byte> message,
        ReadOnlySpan<byte> data,
        ReadOnlySpan<FileDescriptor> descriptors,
        Span<byte> reply,
        Span<byte> replyData,
        out int length,
        DescriptorList? received = null)
    {
        length = 0;
        PendingRequest? request;
        lock (_lock)
        {
            if (_failure != Errno.None)
            {
                return _failure;
            }

            request = _free.TryPop(out PendingRequest? free) ? free : new PendingRequest();
            request.Start(TakeId(), command);
            _pending.Add(request.Id, request);
        }

        WriteHeader(message, command, request.Id, VfioUserFlags.Command, data.Length);
        Errno error = _writer.Send(message, data, descriptors);
        if (error != Errno.None)
        {
            // Part of the message may be on its way: the stream is only good for closing.
            Fail(Errno.ENOTCONN);
            error = Errno.ENOTCONN;
        }
        else
        {
            error = Await(request, reply, replyData, out length, received);
        }

        lock (_lock)
        {
            _pending.Remove(request.Id);
            _free.Push(request);
        }

        request.Descriptors.Clear();
        return error;
    }

    /// <summary>Sends a request that has no reply.</summary>
    /// <param name="command">The command.</param>
    /// <param name="message">As for <see cref="Exchange"/>.</param>
    /// <param name="data">The rest of the payload.</param>
    /// <returns><see cref="Errno.None"/> when it was sent.</returns>
    public Errno Post(VfioUserCommand command, Span<byte> message, ReadOnlySpan<byte> data)
    {
        ushort id;
        lock (_lock)
        {
            if (_failure != Errno.None)
            {
                return _failure;
            }

            id = TakeId();
        }

        WriteHeader(message, command, id, VfioUserFlags.NoReply, data.Length);
        if (_writer.Send(message, data, default) != Errno.None)
        {
            Fail(Errno.ENOTCONN);
            return Errno.ENOTCONN;
        }

        return Errno.None;
    }

    /// <summary>Starts the thread that serves the server's commands while nobody waits; needed when they come on this socket.</summary>
    public void StartBackground()
    {
        _background = new Thread(RunBackground) { IsBackground = true, Name = "vfio-user client" };
        _background.Start();
    }

    /// <summary>Ends the connection; whoever waits gets <see cref="Errno.ENOTCONN"/>. The socket stays the caller's, to be closed afterwards.</summary>
    public void Dispose()
    {
        bool idle;
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
            idle = !_receiving;
            _receiving = true;
        }

        Fail(Errno.ENOTCONN);
        _stop.Set();
        if (idle)
        {
            _reader.Dispose();
        }

        _background?.Join();
        _stop.Dispose();
    }

    private static void WriteHeader(Span<byte> message, VfioUserCommand command, ushort id, VfioUserFlags flags, int dataLength)
        => MemoryMarshal.Write(message, new VfioUserHeader
        {
            msg_id = id,
            cmd = (ushort)command,
            msg_size = (uint)(message.Length + dataLength),
            flags = (uint)flags,
        });

    /// <summary>Caller holds the lock.</summary>
    private ushort TakeId()
    {
        Debug.Assert(_lock.IsHeldByCurrentThread, "Ids are given under the lock.");
        ushort id;
        do
        {
            id = _nextId++;
        }
        while (_pending.ContainsKey(id));
        return id;
    }

    private Errno Await(PendingRequest request, Span<byte> reply, Span<byte> replyData, out int length, DescriptorList? received)
    {
        bool receive = false;
        bool done;
        lock (_lock)
        {
            done = request.IsDone;
            if (!done && !_receiving)
            {
                _receiving = true;
                receive = true;
            }
            else
            {
                request.IsWaiting = !done;
            }
        }

        long started = Stopwatch.GetTimestamp();
        if (!done && !receive)
        {
            request.Signal.Wait(_timeout);
            lock (_lock)
            {
                request.IsWaiting = false;
                done = request.IsDone;
                receive = request.MustReceive;
                if (!done && !receive)
                {
                    _pending.Remove(request.Id);
                    length = 0;
                    return Errno.ETIMEDOUT;
                }
            }
        }

        Errno error;
        if (receive)
        {
            error = Receive(request, started, reply, replyData, out length, received);
            ReleaseRole();
            return error;
        }

        length = request.Length;
        error = request.Error;
        if (error == Errno.None)
        {
            Copy(request.Data.AsSpan(0, request.Length), reply, replyData);
            if (received is not null)
            {
                request.Descriptors.MoveTo(received);
            }
        }

        return error;
    }

    /// <summary>Receives until the reply to a request is there; gives others what is theirs. The caller has the role of the receiver.</summary>
    private Errno Receive(PendingRequest request, long started, Span<byte> reply, Span<byte> replyData, out int length, DescriptorList? received)
    {
        length = 0;
        bool first = true;
        while (true)
        {
            switch (_reader.TryTake(out VfioUserHeader header, out Span<byte> payload))
            {
                case FrameStatus.Message when IsReplyTo(request, header):
                    lock (_lock)
                    {
                        _pending.Remove(request.Id);
                    }

                    Errno error = ErrorOf(header);
                    if (error == Errno.None)
                    {
                        length = payload.Length;
                        Copy(payload, reply, replyData);
                        if (received is not null)
                        {
                            _reader.Descriptors.MoveTo(received);
                        }
                    }

                    ClearDescriptors();
                    SortBuffered();
                    return error;
                case FrameStatus.Message:
                    Sort(header, payload);
                    if (Stopwatch.GetElapsedTime(started) > _timeout)
                    {
                        return Errno.ETIMEDOUT;
                    }

                    break;
                case FrameStatus.NeedMore:
                    Errno fill = Fill(first, started);
                    if (fill != Errno.None)
                    {
                        return fill;
                    }

                    first = false;
                    break;
                default:
                    // Where the next message starts cannot be known.
                    Fail(Errno.EPROTO);
                    return Errno.EPROTO;
            }
        }
    }

    /// <summary>Waits for more bytes. The first wait costs no extra system call: the socket's own time-out bounds it.</summary>
    private Errno Fill(bool first, long started)
    {
        if (!first)
        {
            TimeSpan left = _timeout - Stopwatch.GetElapsedTime(started);
            IoResult ready = left <= TimeSpan.Zero
                ? IoResult.Success()
                : Poll.Wait(_socket.Descriptor, EventLoopEvents.Read, (int)Math.Ceiling(left.TotalMilliseconds));
            if (ready.Value == 0)
            {
                return Errno.ETIMEDOUT;
            }
        }

        IoResult result = _reader.Fill(first ? ReceiveFlags.None : ReceiveFlags.DontWait);
        if (result.Error == Errno.EAGAIN)
        {
            return first ? Errno.ETIMEDOUT : Errno.None;
        }

        if (result.IsError || result.Value == 0)
        {
            Fail(Errno.ENOTCONN);
            return Errno.ENOTCONN;
        }

        return Errno.None;
    }

    private static bool IsReplyTo(PendingRequest request, VfioUserHeader header)
        => ((VfioUserFlags)header.flags & VfioUserFlags.TypeMask) == VfioUserFlags.Reply
            && header.msg_id == request.Id
            && header.cmd == (ushort)request.Command;

    private static Errno ErrorOf(VfioUserHeader header)
        => ((VfioUserFlags)header.flags & VfioUserFlags.Error) == 0 ? Errno.None
            : header.error_no is 0 or > HighestErrno ? Errno.EINVAL
            : (Errno)header.error_no;

    private static void Copy(ReadOnlySpan<byte> payload, Span<byte> reply, Span<byte> replyData)
    {
        int head = Math.Min(payload.Length, reply.Length);
        payload[..head].CopyTo(reply);
        payload = payload[head..];
        payload[..Math.Min(payload.Length, replyData.Length)].CopyTo(replyData);
    }

    /// <summary>Deals with a message that is not what the receiver waits for.</summary>
    private void Sort(VfioUserHeader header, ReadOnlySpan<byte> payload)
    {
        switch ((VfioUserFlags)header.flags & VfioUserFlags.TypeMask)
        {
            case VfioUserFlags.Command:
                _service.Serve(header, payload);
                break;
            case VfioUserFlags.Reply:
                lock (_lock)
                {
                    if (_pending.TryGetValue(header.msg_id, out PendingRequest? other) && IsReplyTo(other, header))
                    {
                        _pending.Remove(header.msg_id);
                        other.Error = ErrorOf(header);
                        other.Keep(payload);
                        _reader.Descriptors.MoveTo(other.Descriptors);
                        other.IsDone = true;
                        other.Signal.Set();
                    }
                }

                break;
        }

        ClearDescriptors();
    }

    /// <summary>Deals with what came in one piece with our reply: nobody may receive for long, and a command in it must not wait.</summary>
    private void SortBuffered()
    {
        while (_reader.HasPartialMessage && _reader.TryTake(out VfioUserHeader header, out Span<byte> payload) == FrameStatus.Message)
        {
            Sort(header, payload);
        }
    }

    private void ClearDescriptors()
    {
        if (_reader.Descriptors.Count != 0 || _reader.Descriptors.Truncated)
        {
            _reader.Descriptors.Clear();
        }
    }

    /// <summary>Hands the role of the receiver to somebody who waits, or puts it down.</summary>
    private void ReleaseRole()
    {
        lock (_lock)
        {
            if (!_closed)
            {
                foreach (PendingRequest other in _pending.Values)
                {
                    if (other.IsWaiting)
                    {
                        other.MustReceive = true;
                        other.Signal.Set();
                        return;
                    }
                }

                _receiving = false;
                return;
            }
        }

        // The role stays taken for ever: the channel was closed meanwhile.
        _reader.Dispose();
    }

    private void Fail(Errno error)
    {
        bool first;
        lock (_lock)
        {
            first = _failure == Errno.None;
            if (first)
            {
                _failure = error;
            }

            foreach (PendingRequest request in _pending.Values)
            {
                request.Error = _failure;
                request.IsDone = true;
                request.Signal.Set();
            }

            _pending.Clear();
        }

        if (first)
        {
            // Whoever watches the socket hears of it, the server too.
            _socket.Shutdown();
        }
    }

    private void RunBackground()
    {
        const int Pause = 1;
        while (!_stop.IsSet)
        {
            _ = Poll.Wait(_socket.Descriptor, EventLoopEvents.Read, -1);
            bool busy;
            lock (_lock)
            {
                if (_failure != Errno.None)
                {
                    return;
                }

                busy = _receiving;
                _receiving = true;
            }

            if (busy)
            {
                // Somebody receives for all: what woke this thread was most likely a reply, and the next will come soon.
                _stop.Wait(Pause);
                continue;
            }

            Drain();
            ReleaseRole();
        }
    }

    private void Drain()
    {
        while (true)
        {
            switch (_reader.TryTake(out VfioUserHeader header, out Span<byte> payload))
            {
                case FrameStatus.Message:
                    Sort(header, payload);
                    break;
                case FrameStatus.NeedMore:
                    IoResult result = _reader.Fill(ReceiveFlags.DontWait);
                    if (result.Error == Errno.EAGAIN)
                    {
                        return;
                    }

                    if (result.IsError || result.Value == 0)
                    {
                        Fail(Errno.ENOTCONN);
                        return;
                    }

                    break;
                default:
                    Fail(Errno.EPROTO);
                    return;
            }
        }
    }
}
