using System.Buffers.Binary;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>The beginning of a connection: fixed newstyle, NBD_OPT_GO, block sizes. Replies are simple ones; structured replies are not asked for.</summary>
/// <remarks>What a server says is bounded: the length of each answer, their number, and the time for all.</remarks>
internal sealed class NbdNegotiation
{
    private const int MaxReplies = 64;
    private const uint DefaultMaximumPayload = 32 << 20;
    private readonly NbdStream _stream;
    private readonly NbdAddress _address;
    private readonly long _end;
    private readonly byte[] _buffer = new byte[NbdProtocol.MaxOptionReply];

    private NbdNegotiation(NbdStream stream, NbdAddress address)
    {
        _stream = stream;
        _address = address;
        _end = Environment.TickCount64 + (long)address.Timeout.TotalMilliseconds;
    }

    /// <summary>Negotiates.</summary>
    /// <param name="stream">A new connection.</param>
    /// <param name="address">What is wanted.</param>
    /// <param name="export">What the server offers, after success.</param>
    /// <returns>What is wrong, as a clause; null after success.</returns>
    public static string? Run(NbdStream stream, NbdAddress address, out NbdExport export) => new NbdNegotiation(stream, address).Run(out export);

    private string? Run(out NbdExport export)
    {
        export = default;
        Span<byte> greeting = stackalloc byte[18];
        if (Receive(greeting) is { } lost)
        {
            return $"{lost} before it had said what it is; is it an NBD server, and does it want TLS, which is not spoken here?";
        }

        ulong second = BinaryPrimitives.ReadUInt64BigEndian(greeting[8..]);
        if (BinaryPrimitives.ReadUInt64BigEndian(greeting) != NbdProtocol.Magic || (second != NbdProtocol.OptionMagic && second != NbdProtocol.OldStyleMagic))
        {
            return "what it says is not NBD: look at the port";
        }

        ushort flags = BinaryPrimitives.ReadUInt16BigEndian(greeting[16..]);
        if (second == NbdProtocol.OldStyleMagic || (flags & NbdProtocol.FixedNewstyle) == 0)
        {
            return "it speaks the old style of NBD, without fixed newstyle negotiation; use a server of this decade (nbdkit without -o, qemu-nbd)";
        }

        return SendGo(flags) is { } failure ? failure : Answers(out export);
    }

    private string? SendGo(ushort flags)
    {
        byte[] name = Encoding.UTF8.GetBytes(_address.Export);
        byte[] message = new byte[4 + 16 + 4 + name.Length + 2 + 2];
        Span<byte> rest = message;
        BinaryPrimitives.WriteUInt32BigEndian(rest, (uint)(flags & (NbdProtocol.FixedNewstyle | NbdProtocol.NoZeroes)));
        BinaryPrimitives.WriteUInt64BigEndian(rest[4..], NbdProtocol.OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(rest[12..], NbdProtocol.OptionGo);
        BinaryPrimitives.WriteUInt32BigEndian(rest[16..], (uint)(message.Length - 20));
        BinaryPrimitives.WriteUInt32BigEndian(rest[20..], (uint)name.Length);
        name.CopyTo(rest[24..]);

        // One information is asked for: the block sizes, which also tells the server that they will be kept.
        BinaryPrimitives.WriteUInt16BigEndian(rest[(24 + name.Length)..], 1);
        BinaryPrimitives.WriteUInt16BigEndian(rest[(26 + name.Length)..], NbdProtocol.InfoBlockSize);
        return _stream.Send(message, Left()) is var error && error != Errno.None ? $"it takes no option ({error.GetName()})" : null;
    }

    private string? Answers(out NbdExport export)
    {
        export = new NbdExport(0, 0, 1, DefaultMaximumPayload);
        bool isKnown = false;
        Span<byte> header = stackalloc byte[20];
        for (int i = 0; i < MaxReplies; i++)
        {
            if (Receive(header) is { } lost)
            {
                return $"{lost} in the middle of the negotiation";
            }

            uint reply = BinaryPrimitives.ReadUInt32BigEndian(header[12..]);
            uint length = BinaryPrimitives.ReadUInt32BigEndian(header[16..]);
            if (BinaryPrimitives.ReadUInt64BigEndian(header) != NbdProtocol.OptionReplyMagic
                || BinaryPrimitives.ReadUInt32BigEndian(header[8..]) != NbdProtocol.OptionGo
                || length > NbdProtocol.MaxOptionReply)
            {
                return "its answer to NBD_OPT_GO is not NBD";
            }

            Span<byte> data = _buffer.AsSpan(0, (int)length);
            if (Receive(data) is { } cut)
            {
                return $"{cut} in the middle of the negotiation";
            }

            if ((reply & NbdProtocol.ReplyErrorFlag) != 0)
            {
                return Describe(reply, data);
            }

            if (reply == NbdProtocol.ReplyAcknowledge)
            {
                return isKnown ? Check(export) : "it agrees without saying how long the export is";
            }

            if (reply == NbdProtocol.ReplyInfo && !TryTake(data, ref export, ref isKnown))
            {
                return "it describes the export with an information that is cut short";
            }
        }

        return $"it answers NBD_OPT_GO with more than {MaxReplies} informations";
    }

    private static bool TryTake(ReadOnlySpan<byte> data, ref NbdExport export, ref bool isKnown)
    {
        if (data.Length < 2)
        {
            return false;
        }

        ushort kind = BinaryPrimitives.ReadUInt16BigEndian(data);
        if (kind == NbdProtocol.InfoExport)
        {
            if (data.Length < 12)
            {
                return false;
            }

            isKnown = true;
            export = export with { Length = BinaryPrimitives.ReadUInt64BigEndian(data[2..]), Flags = BinaryPrimitives.ReadUInt16BigEndian(data[10..]) };
        }
        else if (kind == NbdProtocol.InfoBlockSize)
        {
            if (data.Length < 14)
            {
                return false;
            }

            export = export with { MinimumBlock = BinaryPrimitives.ReadUInt32BigEndian(data[2..]), MaximumPayload = BinaryPrimitives.ReadUInt32BigEndian(data[10..]) };
        }

        return true;
    }

    private static string? Check(in NbdExport export)
    {
        if (export.MinimumBlock is 0 or > AlignedBuffers.Length || !System.Numerics.BitOperations.IsPow2(export.MinimumBlock) || export.MaximumPayload < Math.Max(export.MinimumBlock, 4096))
        {
            return $"it wants blocks of {export.MinimumBlock} to {export.MaximumPayload} bytes; powers of two up to {AlignedBuffers.Length} can be kept, with 4096 or more in a request";
        }

        return export.Length is < FileBackend.MinimumLength or > long.MaxValue
            ? $"the export has {export.Length} bytes; {FileBackend.MinimumLength} to 2⁶³ − 1 can be a namespace"
            : null;
    }

    /// <summary>Text of the server is shown as far as it is printable.</summary>
    private string Describe(uint reply, ReadOnlySpan<byte> data)
    {
        string what = reply switch
        {
            NbdProtocol.ErrorUnknownExport => $"it has no export '{_address.Export}'",
            NbdProtocol.ErrorTlsRequired => "it wants TLS, which is not spoken here: let it serve without, on a network that is trusted or through a tunnel",
            NbdProtocol.ErrorPolicy => "its policy forbids this client",
            NbdProtocol.ErrorShutdown => "it is shutting down",
            NbdProtocol.ErrorUnsupported => "it does not know NBD_OPT_GO; use a newer server",
            NbdProtocol.ErrorBlockSizeRequired => "it wants block sizes that this client does not keep",
            _ => $"it refuses the export (0x{reply:x})",
        };
        Span<char> text = stackalloc char[Math.Min(data.Length, 200)];
        for (int i = 0; i < text.Length; i++)
        {
            text[i] = data[i] is >= (byte)' ' and <= (byte)'~' ? (char)data[i] : '?';
        }

        return text.IsEmpty ? what : $"{what}; it says: {text}";
    }

    private string? Receive(Span<byte> bytes) => _stream.Receive(bytes, Left()) switch
    {
        Errno.None when Environment.TickCount64 <= _end => null,
        Errno.None or Errno.ETIMEDOUT => $"it was not done within {_address.Timeout.TotalSeconds} s",
        _ => "it ended the connection",
    };

    private int Left() => (int)Math.Clamp(_end - Environment.TickCount64, 0, int.MaxValue);
}
