using System.Text;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// A UNIX stream socket that carries descriptors beside the bytes. One thread may receive while another sends; two senders at a time
/// would mix their bytes.
/// </summary>
/// <remarks>Nothing here raises SIGPIPE. Receiving and sending allocate nothing unless descriptors arrive.</remarks>
public sealed partial class UnixSocket : IDisposable
{
    /// <summary>Takes over a descriptor that is a UNIX stream socket.</summary>
    /// <param name="descriptor">The socket; the new object owns it.</param>
    public UnixSocket(FileDescriptor descriptor)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        Descriptor = descriptor;
    }

    /// <summary>The descriptor, owned by this object.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Makes a socket file and listens on it.</summary>
    /// <param name="path">
    /// The path, at most 107 bytes in UTF-8. A name that starts with NUL is in the abstract name space and makes no file.
    /// Nothing removes the file later: that is the caller's part, as is removing one that an earlier server left.
    /// </param>
    /// <param name="backlog">How many connections wait to be accepted.</param>
    /// <param name="socket">The listening socket after success.</param>
    /// <returns>ENAMETOOLONG for a path that is too long, EADDRINUSE if the file is there, EINVAL for an empty path or one with NUL.</returns>
    /// <remarks>
    /// The file appears when connections are accepted and not before, so that whoever waits for it can connect at once: the socket is made under
    /// a name with a suffix, which the kernel goes on showing as its address, and renamed. Where the suffix has no room in the
    /// 107 bytes, or the file system cannot rename without replacing, it is made in place.
    /// </remarks>
    public static Errno TryListen(string path, int backlog, out UnixSocket? socket)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (path.Length > 0 && path[0] != '\0')
        {
            string aside = $"{path}.{Random.Shared.Next():x}";
            if (TryListenAt(aside, backlog, out socket) == Errno.None)
            {
                Errno renamed = Interop.ToErrno(Interop.Rename(
                    Interop.CurrentDirectory, aside, Interop.CurrentDirectory, path, Interop.RenameNoReplace));
                if (renamed == Errno.None)
                {
                    return Errno.None;
                }

                socket!.Dispose();
                socket = null;
                _ = Interop.Unlink(aside);
                if (renamed == Errno.EEXIST)
                {
                    return Errno.EADDRINUSE;
                }
            }
        }

        return TryListenAt(path, backlog, out socket);
    }

    /// <summary>Connects to a listening socket.</summary>
    /// <param name="path">The path, as in <see cref="TryListen"/>.</param>
    /// <param name="socket">The connection after success.</param>
    /// <param name="timeout">How long to wait while the backlog is full; null for ever.</param>
    /// <returns>ENOENT without a file, ECONNREFUSED if nobody listens, EACCES without the right to write to it, EAGAIN after the time-out.</returns>
    public static Errno TryConnect(string path, out UnixSocket? socket, TimeSpan? timeout = null) => TryOpen(path, connect: true, timeout, out socket);

    /// <summary>Makes two sockets that are connected to each other.</summary>
    /// <param name="first">One end; the caller owns both.</param>
    /// <param name="second">The other end.</param>
    /// <exception cref="LinuxException">The process has no descriptors left.</exception>
    public static unsafe void CreatePair(out UnixSocket first, out UnixSocket second)
    {
        int* pair = stackalloc int[2];

        // SAFETY: room for the two numbers.
        Interop.ToErrno(Interop.SocketPair(Interop.AddressFamilyUnix, Interop.SocketStream | Interop.SocketCloseOnExec, 0, pair))
            .ThrowIfError("create a pair of sockets");
        first = new UnixSocket(new FileDescriptor(pair[0], ownsHandle: true));
        second = new UnixSocket(new FileDescriptor(pair[1], ownsHandle: true));
    }

    /// <summary>Waits for a connection. Connections that were given up before they were accepted are passed over.</summary>
    /// <param name="socket">The connection after success.</param>
    /// <returns>EINVAL after <see cref="Shutdown"/>, EMFILE without a free descriptor (the connection then still waits).</returns>
    public unsafe Errno TryAccept(out UnixSocket? socket)
    {
        while (true)
        {
            int fd = Interop.Accept(Descriptor, null, null, Interop.SocketCloseOnExec);
            if (fd >= 0)
            {
                socket = new UnixSocket(new FileDescriptor(fd, ownsHandle: true));
                return Errno.None;
            }

            Errno error = Interop.LastError;
            if (error is not (Errno.EINTR or Errno.ECONNABORTED))
            {
                socket = null;
                return error;
            }
        }
    }

    /// <summary>Asks the kernel who connected. The peer cannot forge it.</summary>
    /// <param name="credentials">The answer after success.</param>
    public unsafe Errno TryGetPeerCredentials(out PeerCredentials credentials)
    {
        Interop.Credentials raw = default;
        uint length = (uint)sizeof(Interop.Credentials);

        // SAFETY: the buffer is a local whose size is passed along.
        Errno error = Interop.ToErrno(Interop.GetSocketOption(
            Descriptor, Interop.LevelSocket, Interop.OptionPeerCredentials, &raw, &length));
        credentials = new PeerCredentials(raw.ProcessId, raw.UserId, raw.GroupId);
        return error;
    }

    /// <summary>The effective user id of this process, to compare with <see cref="PeerCredentials.UserId"/>.</summary>
    public static uint OwnUserId => Interop.GetEffectiveUserId();

    /// <summary>Tells whether connections can be accepted on the socket, as against one that is connected.</summary>
    /// <param name="listening">The answer after success.</param>
    /// <returns>
    /// <see cref="Errno.ENOTSOCK"/> for a descriptor of another kind, <see cref="Errno.EPROTOTYPE"/> for a socket that is not a UNIX stream,
    /// <see cref="Errno.ENOTCONN"/> for one that neither listens nor was ever connected.
    /// </returns>
    public unsafe Errno TryGetListening(out bool listening)
    {
        listening = false;
        Errno error = TryGetOption(Interop.OptionDomain, out int domain);
        if (error != Errno.None)
        {
            return error;
        }

        if (domain != Interop.AddressFamilyUnix || TryGetOption(Interop.OptionType, out int type) != Errno.None || type != Interop.SocketStream)
        {
            return Errno.EPROTOTYPE;
        }

        error = TryGetOption(Interop.OptionAcceptsConnections, out int accepts);
        listening = accepts != 0;
        if (error != Errno.None || listening)
        {
            return error;
        }

        // Only the answer counts: no room is offered for the name.
        uint length = 0;
        byte nothing;

        // SAFETY: a buffer of length 0, which is not written to.
        return Interop.ToErrno(Interop.GetPeerName(Descriptor, &nothing, &length));
    }

    /// <summary>
    /// Closes both directions without closing the descriptor: whoever waits in a receive, send or accept wakes up. Idempotent, and harmless on a
    /// connection that is already gone.
    /// </summary>
    public void Shutdown() => _ = Interop.Shutdown(Descriptor, Interop.ShutdownBoth);

    /// <summary>Bounds how long a receive or accept waits; afterwards it answers EAGAIN.</summary>
    /// <param name="timeout">At least one microsecond, or zero or <see cref="Timeout.InfiniteTimeSpan"/> for ever.</param>
    /// <exception cref="LinuxException">The descriptor is not a socket.</exception>
    public void SetReceiveTimeout(TimeSpan timeout) => SetTimeout(Interop.OptionReceiveTimeout, timeout, "set the receive time-out of a socket");

    /// <summary>Bounds how long a send waits for room each time; afterwards it answers EAGAIN.</summary>
    /// <param name="timeout">At least one microsecond, or zero or <see cref="Timeout.InfiniteTimeSpan"/> for ever.</param>
    /// <exception cref="LinuxException">The descriptor is not a socket.</exception>
    public void SetSendTimeout(TimeSpan timeout) => SetTimeout(Interop.OptionSendTimeout, timeout, "set the send time-out of a socket");

    /// <summary>Asks for a size of the send buffer; the kernel doubles it, and bounds it by <c>net.core.wmem_max</c>.</summary>
    /// <param name="bytes">The size in bytes.</param>
    /// <exception cref="LinuxException">The descriptor is not a socket.</exception>
    public void SetSendBufferSize(int bytes) => SetOption(Interop.OptionSendBuffer, bytes).ThrowIfError("set the send buffer of a socket");

    /// <summary>Asks for a size of the receive buffer; on UNIX sockets the sender's buffer is what counts.</summary>
    /// <param name="bytes">The size in bytes.</param>
    /// <exception cref="LinuxException">The descriptor is not a socket.</exception>
    public void SetReceiveBufferSize(int bytes) => SetOption(Interop.OptionReceiveBuffer, bytes).ThrowIfError("set the receive buffer of a socket");

    /// <summary>Closes the descriptor. Does not wake a thread that waits in it: call <see cref="Shutdown"/> first. Idempotent.</summary>
    public void Dispose() => Descriptor.Dispose();

    private static Errno TryListenAt(string path, int backlog, out UnixSocket? socket)
    {
        Errno error = TryOpen(path, connect: false, timeout: null, out socket);
        if (error == Errno.None)
        {
            error = Interop.ToErrno(Interop.Listen(socket!.Descriptor, backlog));
            if (error != Errno.None)
            {
                socket.Dispose();
                socket = null;
            }
        }

        return error;
    }

    private static unsafe Errno TryOpen(string path, bool connect, TimeSpan? timeout, out UnixSocket? socket)
    {
        ArgumentNullException.ThrowIfNull(path);
        socket = null;

        // struct sockaddr_un: the family in the first two bytes, then the path.
        byte* address = stackalloc byte[2 + Interop.UnixPathSize];
        Span<byte> room = new(address + 2, Interop.UnixPathSize);
        room.Clear();
        *(ushort*)address = Interop.AddressFamilyUnix;
        if (path.Length == 0)
        {
            return Errno.EINVAL;
        }

        if (!Encoding.UTF8.TryGetBytes(path, room[..^1], out int length))
        {
            return Errno.ENAMETOOLONG;
        }

        bool isAbstract = path[0] == '\0';
        if (!isAbstract && path.Contains('\0', StringComparison.Ordinal))
        {
            return Errno.EINVAL;
        }

        int fd = Interop.Socket(Interop.AddressFamilyUnix, Interop.SocketStream | Interop.SocketCloseOnExec, 0);
        if (fd < 0)
        {
            return Interop.LastError;
        }

        UnixSocket result = new(new FileDescriptor(fd, ownsHandle: true));
        if (timeout is { } limit)
        {
            // A connection that waits for room in the backlog counts as sending.
            result.SetSendTimeout(limit);
        }

        // An abstract name has exactly its length; a path counts its NUL.
        uint addressLength = (uint)(2 + length + (isAbstract ? 0 : 1));
        while (true)
        {
            // SAFETY: the address is a local of at least the length that is passed.
            Errno error = Interop.ToErrno(connect
                ? Interop.Connect(result.Descriptor, address, addressLength)
                : Interop.Bind(result.Descriptor, address, addressLength));
            if (error == Errno.None)
            {
                if (timeout is not null)
                {
                    result.SetSendTimeout(Timeout.InfiniteTimeSpan);
                }

                socket = result;
                return Errno.None;
            }

            if (error != Errno.EINTR)
            {
                result.Dispose();
                return error;
            }
        }
    }

    private unsafe void SetTimeout(int option, TimeSpan timeout, string operation)
    {
        if (timeout == Timeout.InfiniteTimeSpan)
        {
            timeout = TimeSpan.Zero;
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
        if (timeout > TimeSpan.Zero && timeout < TimeSpan.FromMicroseconds(1))
        {
            // Zero would mean for ever.
            timeout = TimeSpan.FromMicroseconds(1);
        }

        Interop.TimeValue value = new()
        {
            Seconds = (nint)(timeout.Ticks / TimeSpan.TicksPerSecond),
            Microseconds = (nint)(timeout.Ticks % TimeSpan.TicksPerSecond / TimeSpan.TicksPerMicrosecond),
        };

        // SAFETY: a local whose size is passed along.
        Interop.ToErrno(Interop.SetSocketOption(
            Descriptor, Interop.LevelSocket, option, &value, (uint)sizeof(Interop.TimeValue))).ThrowIfError(operation);
    }

    private unsafe Errno TryGetOption(int option, out int value)
    {
        int result = 0;
        uint length = sizeof(int);

        // SAFETY: the buffer is a local whose size is passed along.
        Errno error = Interop.ToErrno(Interop.GetSocketOption(Descriptor, Interop.LevelSocket, option, &result, &length));
        value = result;
        return error;
    }

    private unsafe Errno SetOption(int option, int value) =>

        // SAFETY: a local whose size is passed along.
        Interop.ToErrno(Interop.SetSocketOption(Descriptor, Interop.LevelSocket, option, &value, sizeof(int)));
}
