using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Testing;

/// <summary>
/// One end of a vfio-user socket that sends exactly what it is told, however wrong, and shows exactly what comes back. It shares no code
/// with client and server, so that it can judge them. Not safe for concurrent use.
/// </summary>
public class VfioUserPeer : IDisposable
{
    private const int HeaderSize = 16;
    private readonly UnixSocket _socket;
    private ushort _nextId = 1;

    /// <summary>Uses a connected socket.</summary>
    /// <param name="socket">The socket; owned from now on.</param>
    /// <param name="timeout">How long <see cref="Receive"/> and the sending members wait; five seconds if not given.</param>
    public VfioUserPeer(UnixSocket socket, TimeSpan? timeout = null)
    {
        ArgumentNullException.ThrowIfNull(socket);
        _socket = socket;
        _socket.SetReceiveTimeout(timeout ?? TimeSpan.FromSeconds(5));
        _socket.SetSendTimeout(timeout ?? TimeSpan.FromSeconds(5));
    }

    /// <summary>The socket, owned by this object.</summary>
    public UnixSocket Socket => _socket;

    /// <summary>Sends bytes as they are.</summary>
    /// <param name="bytes">The bytes; not empty when there are descriptors.</param>
    /// <param name="descriptors">Descriptors that travel with the first byte; they stay the caller's.</param>
    /// <returns><see cref="Errno.None"/>, or why they could not be sent.</returns>
    public Errno SendBytes(ReadOnlySpan<byte> bytes, params ReadOnlySpan<FileDescriptor> descriptors)
        => _socket.Send(bytes, default, descriptors).Error;

    /// <summary>Sends a command without waiting for its reply.</summary>
    /// <param name="command">The command number, not checked.</param>
    /// <param name="payload">What follows the header.</param>
    /// <param name="descriptors">Descriptors; they stay the caller's.</param>
    /// <returns>The message's id: 1 for the first, then 2, and so on.</returns>
    /// <exception cref="VfioException">The peer has gone or does not take it.</exception>
    public ushort Send(VfioUserCommand command, ReadOnlySpan<byte> payload = default, params ReadOnlySpan<FileDescriptor> descriptors)
        => Send(command, VfioUserFlags.Command, payload, descriptors);

    /// <summary>Sends a command with flags, without waiting for its reply.</summary>
    /// <param name="command">The command number, not checked.</param>
    /// <param name="flags">The header's flags.</param>
    /// <param name="payload">What follows the header.</param>
    /// <param name="descriptors">Descriptors; they stay the caller's.</param>
    /// <returns>The message's id.</returns>
    /// <exception cref="VfioException">The peer has gone or does not take it.</exception>
    public ushort Send(VfioUserCommand command, VfioUserFlags flags, ReadOnlySpan<byte> payload, params ReadOnlySpan<FileDescriptor> descriptors)
    {
        ushort id = _nextId++;
        VfioException.ThrowIfError(SendBytes(Compose(id, command, flags, payload), descriptors), $"send {command}");
        return id;
    }

    /// <summary>Answers a command with success.</summary>
    /// <param name="command">The command.</param>
    /// <param name="payload">The reply's payload.</param>
    /// <param name="descriptors">Descriptors; they stay the caller's.</param>
    public void Reply(VfioUserMessage command, ReadOnlySpan<byte> payload = default, params ReadOnlySpan<FileDescriptor> descriptors)
    {
        ArgumentNullException.ThrowIfNull(command);
        VfioException.ThrowIfError(
            SendBytes(Compose(command.Id, command.Command, VfioUserFlags.Reply, payload), descriptors), $"reply to {command.Command}");
    }

    /// <summary>Answers a command with a structure.</summary>
    /// <typeparam name="T">The structure.</typeparam>
    /// <param name="command">The command.</param>
    /// <param name="value">The reply's payload.</param>
    /// <param name="descriptors">Descriptors; they stay the caller's.</param>
    public void Reply<T>(VfioUserMessage command, in T value, params ReadOnlySpan<FileDescriptor> descriptors)
        where T : unmanaged
        => Reply(command, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)), descriptors);

    /// <summary>Answers a command with an error.</summary>
    /// <param name="command">The command.</param>
    /// <param name="error">The error.</param>
    public void ReplyError(VfioUserMessage command, Errno error)
    {
        ArgumentNullException.ThrowIfNull(command);
        byte[] message = Compose(command.Id, command.Command, VfioUserFlags.Reply | VfioUserFlags.Error, default, (uint)error);
        VfioException.ThrowIfError(SendBytes(message), $"reply to {command.Command}");
    }

    /// <summary>Waits for a message.</summary>
    /// <returns>The message; null at the end of the stream.</returns>
    /// <exception cref="TimeoutException">Nothing came, or less than the header promised.</exception>
    public VfioUserMessage? Receive()
    {
        DescriptorList descriptors = new();
        try
        {
            VfioUserHeader header = default;
            if (!Fill(MemoryMarshal.AsBytes(new Span<VfioUserHeader>(ref header)), descriptors, mayEnd: true))
            {
                descriptors.Dispose();
                return null;
            }

            if (header.msg_size < HeaderSize)
            {
                throw new InvalidDataException($"A message claims {header.msg_size} bytes, less than its header.");
            }

            byte[] payload = new byte[header.msg_size - HeaderSize];
            Fill(payload, descriptors, mayEnd: false);
            return new VfioUserMessage(header, payload, descriptors);
        }
        catch
        {
            descriptors.Dispose();
            throw;
        }
    }

    /// <summary>Waits for the next message, which must be there.</summary>
    /// <returns>The message.</returns>
    /// <exception cref="EndOfStreamException">The peer has closed the connection.</exception>
    public VfioUserMessage ReceiveMessage() => Receive() ?? throw new EndOfStreamException("The peer has closed the connection.");

    /// <summary>Waits for a command of a kind; anything else is a mistake.</summary>
    /// <param name="command">The command expected.</param>
    /// <returns>The message.</returns>
    /// <exception cref="InvalidDataException">Something else came.</exception>
    public VfioUserMessage Expect(VfioUserCommand command)
    {
        VfioUserMessage message = ReceiveMessage();
        if (message.IsReply || message.Command != command)
        {
            string what = message.ToString();
            message.Dispose();
            throw new InvalidDataException($"{command} was expected, but there came: {what}.");
        }

        return message;
    }

    /// <summary>Waits until the peer closes the connection; messages before that are dropped.</summary>
    /// <returns>False when it is still open after the time-out.</returns>
    public bool WaitForEnd()
    {
        try
        {
            while (Receive() is { } message)
            {
                message.Dispose();
            }

            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
        catch (EndOfStreamException)
        {
            return true;
        }
    }

    /// <summary>Whether something has arrived that was not received yet; the end of the stream counts.</summary>
    /// <param name="timeout">How long to wait for it.</param>
    /// <returns>True when there is.</returns>
    public bool HasInput(TimeSpan timeout) => Poll.Wait(_socket.Descriptor, EventLoopEvents.Read, (int)timeout.TotalMilliseconds).Value > 0;

    /// <summary>Puts a message together.</summary>
    /// <param name="id">Its id.</param>
    /// <param name="command">Its command.</param>
    /// <param name="flags">Its flags.</param>
    /// <param name="payload">What follows the header.</param>
    /// <param name="error">The error number.</param>
    /// <param name="size">The size that the header claims; null for the true one.</param>
    /// <returns>The bytes.</returns>
    public static byte[] Compose(ushort id, VfioUserCommand command, VfioUserFlags flags, ReadOnlySpan<byte> payload, uint error = 0, uint? size = null)
    {
        byte[] message = new byte[HeaderSize + payload.Length];
        MemoryMarshal.Write(message, new VfioUserHeader
        {
            msg_id = id,
            cmd = (ushort)command,
            msg_size = size ?? (uint)message.Length,
            flags = (uint)flags,
            error_no = error,
        });
        payload.CopyTo(message.AsSpan(HeaderSize));
        return message;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the socket.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            _socket.Dispose();
        }
    }

    private bool Fill(Span<byte> buffer, DescriptorList descriptors, bool mayEnd)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            IoResult result = _socket.Receive(buffer[done..], descriptors, ReceiveFlags.None);
            if (result.Error == Errno.EAGAIN)
            {
                throw new TimeoutException($"{done} of {buffer.Length} bytes came before the time-out.");
            }

            if (result.IsError || result.Value == 0)
            {
                return mayEnd && done == 0 ? false : throw new EndOfStreamException($"The stream ended after {done} of {buffer.Length} bytes.");
            }

            done += result.Count;
        }

        return true;
    }
}
