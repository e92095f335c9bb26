using System.Net;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Connects to servers by TCP, for clients that use the descriptor as a stream of bytes.</summary>
public static class TcpConnector
{
    /// <summary>Connects. Small messages are sent at once (TCP_NODELAY), and a peer that is gone is found out in the end (SO_KEEPALIVE).</summary>
    /// <param name="address">The server's address.</param>
    /// <param name="timeout">How long it may take.</param>
    /// <param name="socket">The connection after success.</param>
    /// <returns>ETIMEDOUT after the time, else what <c>connect(2)</c> answered.</returns>
    public static unsafe Errno TryConnect(IPEndPoint address, TimeSpan timeout, out FileDescriptor? socket)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(timeout, TimeSpan.Zero);
        socket = null;
        SocketAddress raw = address.Serialize();
        int fd = Interop.Socket((int)raw.Family is 2 ? Interop.AddressFamilyInternet : Interop.AddressFamilyInternet6, Interop.SocketStream | Interop.SocketCloseOnExec, 0);
        if (fd < 0)
        {
            return Interop.LastError;
        }

        var descriptor = new FileDescriptor(fd, ownsHandle: true);
        int on = 1;
        Interop.TimeValue limit = new() { Seconds = (nint)timeout.TotalSeconds, Microseconds = (nint)(timeout.Ticks % TimeSpan.TicksPerSecond / TimeSpan.TicksPerMicrosecond) + 1 };

        // SAFETY: all pointers are to locals, or to memory that is pinned, with the lengths that are passed along.
        _ = Interop.SetSocketOption(descriptor, Interop.LevelTcp, Interop.OptionNoDelay, &on, sizeof(int));
        _ = Interop.SetSocketOption(descriptor, Interop.LevelSocket, Interop.OptionKeepAlive, &on, sizeof(int));
        Errno error = Interop.ToErrno(Interop.SetSocketOption(descriptor, Interop.LevelSocket, Interop.OptionSendTimeout, &limit, (uint)sizeof(Interop.TimeValue)));
        if (error == Errno.None)
        {
            fixed (byte* pointer = raw.Buffer.Span)
            {
                error = Interop.ToErrno(Interop.Connect(descriptor, pointer, (uint)raw.Size));
            }
        }

        if (error != Errno.None)
        {
            descriptor.Dispose();

            // The time-out of a connect that waits is told so.
            return error is Errno.EINPROGRESS or Errno.EAGAIN or Errno.EINTR ? Errno.ETIMEDOUT : error;
        }

        socket = descriptor;
        return Errno.None;
    }
}
