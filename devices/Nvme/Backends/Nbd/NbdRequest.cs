using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>A place for one request in flight: its message, from which it is sent again after a reconnect, and later the data of its reply.</summary>
/// <remarks>Fields are guarded by the client's lock, but for <see cref="Message"/>: that belongs to the caller until the request is added, and to the client until it is done.</remarks>
internal sealed class NbdRequest(int index)
{
    private byte[]? _message;
    private uint _generation;

    /// <summary>Its number among the places, which is in the cookie.</summary>
    public int Index => index;

    /// <summary>Header and data. Made at the first use.</summary>
    public byte[] Message => _message ??= GC.AllocateUninitializedArray<byte>(NbdProtocol.RequestLength + AlignedBuffers.Length);

    public Span<byte> Data => Message.AsSpan(NbdProtocol.RequestLength);

    public NbdCommand Command { get; private set; }

    public int PayloadLength { get; private set; }

    /// <summary>The request that the place holds, different at each use: a late answer to an earlier one is not taken.</summary>
    public ulong Cookie { get; private set; }

    /// <summary>The order of requests, in which they are sent again.</summary>
    public long Sequence { get; set; }

    /// <summary>Whether it waits for its answer.</summary>
    public bool IsPending { get; set; }

    /// <summary>Whether it was sent on the connection that there is.</summary>
    public bool IsSent { get; set; }

    /// <summary>When it was begun, and when it was last sent, by <see cref="Environment.TickCount64"/>.</summary>
    public long Began { get; set; }

    public long Sent { get; set; }

    /// <summary>Of a flush: the writes that were acknowledged before it.</summary>
    public long Covers { get; set; }

    public Errno Result { get; set; }

    /// <summary>Set when the request is done, or when its caller shall send all pending requests again.</summary>
    public ManualResetEventSlim Event { get; } = new();

    /// <summary>Whether it changes the export.</summary>
    public bool IsWrite => Command is NbdCommand.Write or NbdCommand.WriteZeroes;

    /// <summary>What is sent.</summary>
    public ReadOnlySpan<byte> Wire => Message.AsSpan(0, NbdProtocol.RequestLength + (Command == NbdCommand.Write ? PayloadLength : 0));

    /// <summary>Makes the header.</summary>
    public void Prepare(NbdCommand command, ulong offset, uint length, ushort flags)
    {
        Command = command;
        PayloadLength = command is NbdCommand.Read or NbdCommand.Write ? (int)length : 0;
        Cookie = ((ulong)++_generation << 32) | (uint)index;
        Span<byte> header = Message.AsSpan(0, NbdProtocol.RequestLength);
        BinaryPrimitives.WriteUInt32BigEndian(header, NbdProtocol.RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], flags);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)command);
        BinaryPrimitives.WriteUInt64BigEndian(header[8..], Cookie);
        BinaryPrimitives.WriteUInt64BigEndian(header[16..], offset);
        BinaryPrimitives.WriteUInt32BigEndian(header[24..], length);
        Event.Reset();
    }
}
