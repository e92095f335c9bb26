using System.Diagnostics;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>Collects messages of one thread and sends them together; other threads may send whole messages in between.</summary>
/// <remarks>
/// <see cref="Begin"/>, <see cref="Commit"/> and <see cref="Flush"/> belong to the owning thread. The send lock, a leaf, keeps messages
/// whole. The first failure sticks: after it everything is dropped. The buffer starts small and grows with what is collected, up to 64 KiB;
/// <see cref="Release"/> gives it back.
/// </remarks>
internal sealed class MessageWriter
{
    /// <summary>What any socket takes that nothing was sent on yet, without waiting.</summary>
    private const int FitsAlways = 1024;

    private readonly UnixSocket _socket;
    private readonly TimeSpan? _limit;
    private readonly Lock _sendLock = new();
    private byte[] _buffer = [];
    private int _length;
    private int _begun = -1;
    private bool _hasSent;
    private bool _isLimited;
    private volatile int _failure;

    /// <summary>Makes a writer.</summary>
    /// <param name="socket">Where the messages go.</param>
    /// <param name="limit">How long a send waits for room each time; null leaves the socket as it is.</param>
    public MessageWriter(UnixSocket socket, TimeSpan? limit = null)
    {
        _socket = socket;
        _limit = limit;
        _isLimited = limit is null;
    }

    /// <summary>Why nothing is sent any more, or <see cref="Errno.None"/>.</summary>
    public Errno Failure => (Errno)_failure;

    /// <summary>Starts a message in the buffer.</summary>
    /// <param name="header">The header; its size is set here.</param>
    /// <param name="payloadSize">Bytes behind the header.</param>
    /// <returns>The payload to fill; its content is undefined.</returns>
    public Span<byte> Begin(VfioUserHeader header, int payloadSize)
    {
        Debug.Assert(_begun < 0, "One message at a time.");
        int size = VfioUserWire.HeaderSize + payloadSize;
        if (_buffer.Length - _length < size)
        {
            MakeRoom(size);
        }

        header.msg_size = (uint)size;
        MemoryMarshal.Write(_buffer.AsSpan(_length), in header);
        _begun = size;
        return _buffer.AsSpan(_length + VfioUserWire.HeaderSize, payloadSize);
    }

    /// <summary>Makes the started message part of what will be sent.</summary>
    public void Commit()
    {
        _length += _begun;
        _begun = -1;
    }

    /// <summary>Drops the started message.</summary>
    public void Cancel() => _begun = -1;

    /// <summary>Sends what was collected.</summary>
    public void Flush()
    {
        if (_length == 0)
        {
            return;
        }

        int length = _length;
        _length = 0;
        Send(_buffer.AsSpan(0, length), default, default);
        if (_buffer.Length > MessageBuffer.FullSize)
        {
            _buffer = MessageBuffer.Allocate(MessageBuffer.FullSize);
        }
    }

    /// <summary>Gives the buffer back, for a connection that rests. Nothing may be collected.</summary>
    public void Release() => _buffer = [];

    /// <summary>Sends the started message with descriptors, after everything collected before it.</summary>
    /// <param name="descriptors">They stay the caller's.</param>
    public void CommitWith(ReadOnlySpan<FileDescriptor> descriptors)
    {
        int start = _length;
        int size = _begun;
        _begun = -1;
        _length = 0;
        if (start > 0)
        {
            Send(_buffer.AsSpan(0, start), default, default);
        }

        Send(_buffer.AsSpan(start, size), default, descriptors);
    }

    /// <summary>Sends a whole message at once, from any thread.</summary>
    /// <param name="head">Header and the start of the payload.</param>
    /// <param name="payload">The rest of the payload.</param>
    /// <param name="descriptors">They stay the caller's.</param>
    /// <returns><see cref="Errno.None"/>, or why the connection cannot send.</returns>
    public Errno Send(ReadOnlySpan<byte> head, ReadOnlySpan<byte> payload, ReadOnlySpan<FileDescriptor> descriptors)
    {
        lock (_sendLock)
        {
            if (_failure != 0)
            {
                return (Errno)_failure;
            }

            if (!_isLimited)
            {
                Limit(head.Length + payload.Length);
            }

            IoResult result = _socket.Send(head, payload, descriptors);
            if (result.IsError)
            {
                _failure = (int)result.Error;
                return result.Error;
            }

            return Errno.None;
        }
    }

    /// <summary>Before a send that could wait: not the first small one, the answer to the version, which whoever connects waits for. Caller holds the lock.</summary>
    private void Limit(int length)
    {
        if (_hasSent || length > FitsAlways)
        {
            _socket.SetSendTimeout(_limit!.Value);
            _isLimited = true;
        }

        _hasSent = true;
    }

    private void MakeRoom(int size)
    {
        if (_length + size > MessageBuffer.FullSize)
        {
            Flush();
        }

        if (_buffer.Length - _length < size)
        {
            byte[] larger = MessageBuffer.Allocate(Math.Max(size, Math.Clamp((_length + size) * 2, MessageBuffer.SmallSize, MessageBuffer.FullSize)));
            _buffer.AsSpan(0, _length).CopyTo(larger);
            _buffer = larger;
        }
    }
}
