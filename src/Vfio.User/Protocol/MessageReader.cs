using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>Cuts the byte stream of a socket into messages, each with the descriptors that came with it.</summary>
/// <remarks>
/// One receive takes whatever has arrived. Descriptors belong to the last message that starts in the bytes of their receive (spec
/// vfio-user §1.1); any others are closed. Not safe for concurrent use. The buffer starts small and grows with what arrives at once, up to
/// 64 KiB, and beyond that only for a message that is larger; <see cref="Release"/> gives it back.
/// </remarks>
internal sealed class MessageReader : IDisposable
{
    /// <summary>The most that <see cref="Look"/> leaves in the socket.</summary>
    private const int MostAhead = 1024;

    /// <summary>Bits of <see cref="_leavableBehind"/>: more than there are commands.</summary>
    private const int BehindCount = 64;

    private readonly UnixSocket _socket;
    private readonly int _maximum;
    private byte[] _buffer = [];
    private byte[]? _left;
    private DescriptorList _arrived = new();
    private DescriptorList _held = new();
    private int _start;
    private int _end;
    private int _receiveStart;
    private bool _heldForFirst;
    private int _previous;
    private ulong _leavableBehind;
    private bool _leaveAll;
    private int _ahead;

    public MessageReader(UnixSocket socket, int maximumMessage)
    {
        _socket = socket;
        _maximum = maximumMessage;
    }

    /// <summary>Whether a message has begun to arrive and is not complete.</summary>
    public bool HasPartialMessage => _end > _start;

    /// <summary>The descriptors of the message that was taken last; what nobody took is closed when the next is taken.</summary>
    public DescriptorList Descriptors { get; } = new();

    /// <summary>Takes the next message that has arrived whole.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="payload">What follows the header; valid until the next <see cref="Fill"/>.</param>
    /// <returns>Whether there is one, or why there never will be.</returns>
    public FrameStatus TryTake(out VfioUserHeader header, out Span<byte> payload)
    {
        payload = default;
        header = default;
        int available = _end - _start;
        if (available < VfioUserWire.HeaderSize)
        {
            return FrameStatus.NeedMore;
        }

        header = MemoryMarshal.Read<VfioUserHeader>(_buffer.AsSpan(_start));
        if (header.msg_size < VfioUserWire.HeaderSize)
        {
            return FrameStatus.TooSmall;
        }

        if (header.msg_size > (uint)_maximum)
        {
            return FrameStatus.TooLarge;
        }

        int size = (int)header.msg_size;
        if (available < size)
        {
            return FrameStatus.NeedMore;
        }

        ClaimDescriptors(size);
        payload = _buffer.AsSpan(_start + VfioUserWire.HeaderSize, size - VfioUserWire.HeaderSize);
        _start += size;
        _previous = header.cmd % BehindCount;
        return FrameStatus.Message;
    }

    /// <summary>Receives once.</summary>
    /// <param name="flags">How to wait.</param>
    /// <returns>Bytes received, 0 at the end of the stream, or an errno.</returns>
    public IoResult Fill(ReceiveFlags flags)
    {
        Prepare();
        _receiveStart = _end;
        IoResult result = _socket.Receive(_buffer.AsSpan(_end), _arrived, flags);
        if (result.IsError)
        {
            return result;
        }

        _end += result.Count;
        Learn(CanBeLeft(_buffer.AsSpan(_receiveStart, result.Count), out _));
        return result;
    }

    /// <summary>
    /// Receives once without waiting, as <see cref="Fill"/> does; but where few and small commands are expected, they stay in the socket, or their last byte does, until
    /// <see cref="Settle"/>. A look without result costs less then, and the caller decides when the kernel frees the messages.
    /// </summary>
    /// <param name="when">When <see cref="Settle"/> will be called.</param>
    /// <returns>As <see cref="Fill"/>.</returns>
    public IoResult Look(TakeTime when)
    {
        _leaveAll = when == TakeTime.LastByteAfterAnswer;
        if (when == TakeTime.AtOnce || !ExpectsLeavable || HasPartialMessage)
        {
            return Fill(ReceiveFlags.DontWait);
        }

        Prepare();
        IoResult result = _socket.Receive(_buffer.AsSpan(0, MostAhead), null, ReceiveFlags.Peek | ReceiveFlags.DontWait);
        if (result.IsError || result.Value == 0)
        {
            return result;
        }

        if (!CanBeLeft(_buffer.AsSpan(0, result.Count), out bool withDescriptors))
        {
            return Fill(ReceiveFlags.DontWait);
        }

        _receiveStart = 0;
        int ahead = result.Count;
        if (withDescriptors)
        {
            // Descriptors come with the first byte of their message, and it is freed with its last.
            IoResult taken = _socket.Receive(_buffer.AsSpan(0, result.Count - 1), _arrived, ReceiveFlags.DontWait);
            if (taken.IsError || taken.Count < result.Count - 1)
            {
                _end = taken.IsError ? 0 : taken.Count;
                return taken;
            }

            ahead = 1;
        }

        Learn(true);
        _ahead = ahead;
        _end = result.Count;
        return result;
    }

    /// <summary>Takes out of the socket what <see cref="Look"/> left there. A message that was left whole comes with no descriptors: any are closed.</summary>
    public void Settle()
    {
        if (_ahead > 0)
        {
            TakeAhead();
        }
    }

    public void Dispose()
    {
        _arrived.Dispose();
        _held.Dispose();
        Descriptors.Dispose();
    }

    /// <summary>Before each receive.</summary>
    private void Prepare()
    {
        Settle();
        SettleDescriptors();
        MakeRoom();
    }

    private void TakeAhead()
    {
        Span<byte> known = stackalloc byte[MostAhead];
        while (_ahead > 0)
        {
            IoResult result = _socket.Receive(known[.._ahead], null, ReceiveFlags.DontWait);
            if (result.IsError || result.Value == 0)
            {
                // The next receive meets the same.
                _ahead = 0;
                return;
            }

            _ahead -= result.Count;
        }
    }

    /// <summary>
    /// Continues in another buffer, so that a payload which the caller still uses stays as it is. The buffer that was left the time before is
    /// used again: by now nobody may use it.
    /// </summary>
    public void LeaveBuffer()
    {
        byte[] fresh = _left is { } left && left.Length >= _buffer.Length ? left : MessageBuffer.Allocate(_buffer.Length);
        _left = _buffer;
        _buffer.AsSpan(_start, _end - _start).CopyTo(fresh);
        _receiveStart = Math.Max(0, _receiveStart - _start);
        _end -= _start;
        _start = 0;
        _buffer = fresh;
    }

    /// <summary>Gives the buffers back when nothing is in them, for a connection that rests.</summary>
    public void Release()
    {
        if (!HasPartialMessage)
        {
            (_buffer, _left, _start, _end) = ([], null, 0, 0);
        }
    }

    private static bool IsCommand(in VfioUserHeader header) => ((VfioUserFlags)header.flags & VfioUserFlags.TypeMask) == VfioUserFlags.Command;

    /// <summary>The commands of whoever sends one by one take turns: what came behind this one the last time comes again.</summary>
    private bool ExpectsLeavable => ((_leavableBehind >> _previous) & 1) != 0;

    private void Learn(bool isLeavable)
    {
        ulong bit = 1UL << _previous;
        _leavableBehind = isLeavable ? _leavableBehind | bit : _leavableBehind & ~bit;
    }

    /// <summary>Whether what has arrived are commands, few, small and whole.</summary>
    private bool CanBeLeft(ReadOnlySpan<byte> arrived, out bool withDescriptors)
    {
        withDescriptors = false;
        if (arrived.Length >= MostAhead)
        {
            return false;
        }

        while (arrived.Length >= VfioUserWire.HeaderSize)
        {
            VfioUserHeader header = MemoryMarshal.Read<VfioUserHeader>(arrived);
            if (header.msg_size < VfioUserWire.HeaderSize || header.msg_size > (uint)arrived.Length || !IsCommand(in header))
            {
                return false;
            }

            withDescriptors |= (VfioUserCommand)header.cmd is not (VfioUserCommand.RegionRead or VfioUserCommand.RegionWrite or VfioUserCommand.DmaUnmap);
            arrived = arrived[(int)header.msg_size..];
        }

        return arrived.IsEmpty && (_leaveAll || !withDescriptors);
    }

    private void ClaimDescriptors(int size)
    {
        if (Descriptors.Count != 0 || Descriptors.Truncated)
        {
            Descriptors.Clear();
        }

        if (_heldForFirst)
        {
            _heldForFirst = false;
            _held.MoveTo(Descriptors);
        }
        else if ((_arrived.Count != 0 || _arrived.Truncated) && _start + size >= _end && _start >= _receiveStart)
        {
            _arrived.MoveTo(Descriptors);
        }
    }

    /// <summary>Before the next receive: descriptors that came with the partial message wait for it; strays are closed.</summary>
    private void SettleDescriptors()
    {
        if (_arrived.Count == 0 && !_arrived.Truncated)
        {
            return;
        }

        if (HasPartialMessage && _start >= _receiveStart)
        {
            _held.Clear();
            (_held, _arrived) = (_arrived, _held);
            _heldForFirst = true;
        }
        else
        {
            _arrived.Clear();
        }
    }

    private void MakeRoom()
    {
        // What filled the buffer to its end would have filled a larger one.
        int wanted = _buffer.Length == 0 ? MessageBuffer.SmallSize : _end == _buffer.Length && _buffer.Length < MessageBuffer.FullSize ? _buffer.Length * 4 : _buffer.Length;
        if (_start == _end)
        {
            _start = 0;
            _end = 0;
            if (_buffer.Length < wanted)
            {
                _buffer = MessageBuffer.Allocate(wanted);
            }

            return;
        }

        if (_end - _start >= VfioUserWire.HeaderSize)
        {
            // TryTake has refused sizes beyond the maximum already.
            wanted = Math.Max(wanted, (int)Math.Min(MemoryMarshal.Read<VfioUserHeader>(_buffer.AsSpan(_start)).msg_size, (uint)_maximum));
        }

        if (_buffer.Length < wanted)
        {
            byte[] larger = MessageBuffer.Allocate(wanted);
            _buffer.AsSpan(_start, _end - _start).CopyTo(larger);
            _buffer = larger;
        }
        else if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        }

        _end -= _start;
        _start = 0;
    }
}
