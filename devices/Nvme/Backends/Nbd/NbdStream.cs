using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>A connection as a stream of bytes of which every wait has an end.</summary>
/// <param name="socket">The connection, which does not wait by itself; owned.</param>
/// <remarks>One thread sends at a time and one receives. <see cref="Break"/> ends both, from any thread.</remarks>
internal sealed class NbdStream(FileDescriptor socket) : IDisposable
{
    private volatile bool _isBroken;

    /// <summary>Whether the connection is given up.</summary>
    public bool IsBroken => _isBroken;

    /// <summary>Sends all bytes.</summary>
    /// <returns>ETIMEDOUT when the peer has not taken all in the time.</returns>
    public Errno Send(ReadOnlySpan<byte> bytes, int timeoutMilliseconds)
    {
        long end = Environment.TickCount64 + timeoutMilliseconds;
        while (!bytes.IsEmpty)
        {
            if (_isBroken)
            {
                return Errno.ENOTCONN;
            }

            IoResult result = socket.Write(bytes);
            if (result.Error == Errno.EAGAIN)
            {
                result = Poll.Wait(socket, EventLoopEvents.Write, Left(end));
                if (result.Value <= 0)
                {
                    return result.IsError ? result.Error : Errno.ETIMEDOUT;
                }

                continue;
            }

            if (result.IsError)
            {
                return result.Error == Errno.EPIPE ? Errno.ENOTCONN : result.Error;
            }

            bytes = bytes[result.Count..];
        }

        return Errno.None;
    }

    /// <summary>Waits until there is something to receive, or the end.</summary>
    /// <returns>False after the time.</returns>
    public bool Wait(int timeoutMilliseconds) => Poll.Wait(socket, EventLoopEvents.Read, timeoutMilliseconds).Value != 0;

    /// <summary>Receives exactly so many bytes.</summary>
    /// <returns>ENOTCONN when the connection ends before, ETIMEDOUT when not all have come in the time.</returns>
    public Errno Receive(Span<byte> bytes, int timeoutMilliseconds)
    {
        long end = Environment.TickCount64 + timeoutMilliseconds;
        while (!bytes.IsEmpty)
        {
            if (_isBroken)
            {
                return Errno.ENOTCONN;
            }

            IoResult result = socket.Read(bytes);
            if (result.Error == Errno.EAGAIN)
            {
                result = Poll.Wait(socket, EventLoopEvents.Read, Left(end));
                if (result.Value <= 0)
                {
                    return result.IsError ? result.Error : Errno.ETIMEDOUT;
                }

                continue;
            }

            if (result.IsError || result.Count == 0)
            {
                return result.IsError && result.Error != Errno.ECONNRESET ? result.Error : Errno.ENOTCONN;
            }

            bytes = bytes[result.Count..];
        }

        return Errno.None;
    }

    /// <summary>Gives the connection up. Whoever waits returns. Not after <see cref="Dispose"/>.</summary>
    public void Break()
    {
        _isBroken = true;
        socket.ShutdownSocket();
    }

    /// <inheritdoc/>
    public void Dispose() => socket.Dispose();

    private static int Left(long end) => (int)Math.Clamp(end - Environment.TickCount64, 0, int.MaxValue);
}
