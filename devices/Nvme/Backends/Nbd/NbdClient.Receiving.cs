using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <content>The thread that receives answers, finds out that a server is lost, and connects again.</content>
internal sealed partial class NbdClient
{
    private const int FirstPause = 100;
    private const int LongestPause = 5000;
    private const int LongestTick = 1000;
    private readonly byte[] _header = new byte[NbdProtocol.ReplyLength];

    /// <summary>Milliseconds between two tries to connect. Short again once a server has answered a request.</summary>
    private int _pause;

    private static string? TryConnect(NbdAddress address, TimeSpan timeout, out NbdStream? stream, out NbdExport export, Func<NbdStream?, bool> announce)
    {
        stream = null;
        export = default;
        if (!address.TryConnect(timeout, out FileDescriptor? socket, out string failure))
        {
            return failure;
        }

        stream = new NbdStream(socket!);
        string? mistake = announce(stream) ? NbdNegotiation.Run(stream, address, out export) : "closing";
        if (mistake is not null)
        {
            _ = announce(null);
            stream.Dispose();
            stream = null;
        }

        return mistake;
    }

    private void Receive()
    {
        NbdStream? stream = _next;
        while (stream is not null && !_isClosing)
        {
            string reason = Serve(stream);
            Lose(stream);
            if (!_isClosing)
            {
                Report?.Invoke($"the connection to the NBD server at {_address.Place} is lost: {reason}; it is tried again, and requests wait {_address.ReconnectDelay.TotalSeconds} s");
            }

            stream = Reconnect();
        }

        FailPending(static _ => true, Errno.ENOTCONN);
    }

    /// <summary>Takes answers until the connection is lost.</summary>
    /// <returns>Why it is.</returns>
    private string Serve(NbdStream stream)
    {
        NbdRequest? oldest;
        lock (_sendLock)
        {
            lock (_lock)
            {
                _next = null;
                _stream = stream;
                _isGivenUp = false;
                oldest = FindOldest();
            }
        }

        // Somebody who waits sends them all again, while this thread takes the answers: else both sides could wait for each other to read.
        oldest?.Event.Set();
        int tick = Math.Clamp(_timeout / 4, 10, LongestTick);
        long nextLook = Environment.TickCount64 + tick;
        while (!_isClosing)
        {
            bool isReady = stream.Wait(tick);
            if (Environment.TickCount64 >= nextLook)
            {
                nextLook = Environment.TickCount64 + tick;
                if (HasOverdue())
                {
                    return $"a request was not answered for {_address.Timeout.TotalSeconds} s";
                }
            }

            if (isReady && TakeAnswer(stream) is { } reason)
            {
                return reason;
            }
        }

        return "closing";
    }

    /// <summary>Takes one answer.</summary>
    /// <returns>Why the connection is of no use any more; null when it is.</returns>
    private string? TakeAnswer(NbdStream stream)
    {
        Errno error = stream.Receive(_header, _timeout);
        if (error != Errno.None)
        {
            return error == Errno.ENOTCONN ? "the server has closed it" : error.GetName();
        }

        uint answer = BinaryPrimitives.ReadUInt32BigEndian(_header.AsSpan(4));
        ulong cookie = BinaryPrimitives.ReadUInt64BigEndian(_header.AsSpan(8));
        if (BinaryPrimitives.ReadUInt32BigEndian(_header) != NbdProtocol.SimpleReplyMagic)
        {
            return "the server's answer is not NBD";
        }

        NbdRequest? request = Find(cookie);
        if (request is null)
        {
            return "the server answers what was not asked";
        }

        if (answer == NbdProtocol.ErrorServerShutdown)
        {
            return "the server is shutting down";
        }

        if (answer == 0 && request.Command == NbdCommand.Read)
        {
            error = stream.Receive(request.Data[..request.PayloadLength], _timeout);
            if (error != Errno.None)
            {
                return $"the server's answer is cut short ({error.GetName()})";
            }
        }

        _pause = 0;
        Complete(request, ToErrno(answer));
        return null;
    }

    /// <summary>The error numbers of the protocol; a server's others mean EIO.</summary>
    private static Errno ToErrno(uint error) => error switch
    {
        0 => Errno.None,
        1 => Errno.EPERM,
        12 => Errno.ENOMEM,
        22 => Errno.EINVAL,
        28 => Errno.ENOSPC,
        75 => Errno.EOVERFLOW,
        95 => Errno.EOPNOTSUPP,
        _ => Errno.EIO,
    };

    private NbdRequest? Find(ulong cookie)
    {
        uint index = (uint)cookie;
        lock (_lock)
        {
            return index < MaxInFlight && _requests[index] is { IsPending: true, IsSent: true } request && request.Cookie == cookie ? request : null;
        }
    }

    private void Complete(NbdRequest request, Errno result)
    {
        lock (_lock)
        {
            if (result == Errno.None && request.IsWrite)
            {
                _acknowledged++;
            }
            else if (result == Errno.None && request.Command == NbdCommand.Flush)
            {
                _durable = Math.Max(_durable, request.Covers);
            }

            request.Result = result;
            request.IsPending = false;
        }

        request.Event.Set();
    }

    /// <summary>The connection is lost: what was acknowledged and not flushed may be too, and what was not answered waits for the next.</summary>
    private void Lose(NbdStream stream)
    {
        stream.Break();
        bool isLost;

        // Whoever sends has left, so that no message is changed while it is sent.
        lock (_sendLock)
        {
            lock (_lock)
            {
                _stream = null;
                isLost = IsCached && _acknowledged != _durable;
                foreach (NbdRequest request in _requests)
                {
                    request.IsSent = false;
                }
            }
        }

        stream.Dispose();
        if (isLost && !_isClosing)
        {
            bool isNew = Gate.Failure == Errno.None;
            Gate.Close(Errno.EIO);
            if (isNew)
            {
                Report?.Invoke("writes that were acknowledged were not flushed when the connection was lost: all flushes fail from now on");
            }

            FailPending(static request => request.Command == NbdCommand.Flush, Errno.EIO);
        }
    }

    /// <summary>Connects again, however long it takes.</summary>
    /// <returns>Null when closing.</returns>
    private NbdStream? Reconnect()
    {
        long end = Environment.TickCount64 + (long)_address.ReconnectDelay.TotalMilliseconds;
        EndPatience(end, "it does not wait (reconnect-delay=0)");
        while (!_closed.Wait(_pause))
        {
            // Before the try: a server that takes connections and drops them is not called without a pause either.
            _pause = Math.Clamp(_pause * 2, FirstPause, LongestPause);

            // While requests wait, a try takes no longer than they do.
            long left = _isGivenUp ? _timeout : end - Environment.TickCount64;
            TimeSpan patience = TimeSpan.FromMilliseconds(Math.Clamp(left, FirstPause, Math.Max(_timeout, FirstPause)));
            string? failure = TryConnect(_address with { Timeout = patience }, patience, out NbdStream? stream, out NbdExport export, Announce);
            failure ??= Compare(export);
            if (failure is null)
            {
                Report?.Invoke($"the NBD server at {_address.Place} is there again");
                return stream;
            }

            if (stream is not null)
            {
                _ = Announce(null);
                stream.Dispose();
            }

            EndPatience(end, failure);
        }

        return null;
    }

    /// <summary>Fails what has waited long enough.</summary>
    private void EndPatience(long end, string failure)
    {
        long now = Environment.TickCount64;
        if (now < end)
        {
            // A server that takes connections and answers nothing is not waited for longer than one that is gone.
            long began = now - (long)_address.ReconnectDelay.TotalMilliseconds - _timeout;
            FailPending(request => request.Began < began, Errno.ETIMEDOUT);
            return;
        }

        bool isNew = !_isGivenUp;
        lock (_lock)
        {
            _isGivenUp = true;
        }

        FailPending(static _ => true, Errno.ENOTCONN);
        if (isNew)
        {
            Report?.Invoke($"the NBD server at {_address.Place} does not come back: {failure}; requests fail until it does");
        }
    }

    /// <summary>Another server, or another image, in the place of the one that was lost is not taken.</summary>
    private string? Compare(in NbdExport export)
    {
        ushort used = (ushort)(Export.Flags & (NbdProtocol.HasFlags | NbdProtocol.SendFlush | NbdProtocol.SendWriteZeroes));
        return export.Length != Export.Length
            ? $"the export has {export.Length} bytes now, and had {Export.Length}"
            : export.MinimumBlock > Export.MinimumBlock || export.MaximumPayload < Export.MaximumPayload
                || (export.Flags & used) != used || (export.Has(NbdProtocol.ReadOnly) && !Export.Has(NbdProtocol.ReadOnly))
                    ? "the export cannot any more what it could"
                    : null;
    }

    /// <summary>Shows a connection that is being made to who closes.</summary>
    private bool Announce(NbdStream? stream)
    {
        lock (_lock)
        {
            _next = stream;
            return !_isClosing;
        }
    }

    private bool HasOverdue()
    {
        long limit = Environment.TickCount64 - _timeout;
        lock (_lock)
        {
            foreach (NbdRequest request in _requests)
            {
                if (request is { IsPending: true, IsSent: true } && request.Sent < limit)
                {
                    return true;
                }
            }

            return false;
        }
    }

    private NbdRequest? FindOldest()
    {
        NbdRequest? oldest = null;
        foreach (NbdRequest request in _requests)
        {
            if (request.IsPending && (oldest is null || request.Sequence < oldest.Sequence))
            {
                oldest = request;
            }
        }

        return oldest;
    }

    /// <summary>Ends requests without an answer. There is no connection.</summary>
    private void FailPending(Func<NbdRequest, bool> which, Errno error)
    {
        foreach (NbdRequest request in _requests)
        {
            bool ends;
            lock (_lock)
            {
                ends = request.IsPending && which(request);
            }

            if (ends)
            {
                Complete(request, error);
            }
        }
    }
}
