using System.Buffers.Binary;

namespace Vfio.Devices.Igb;

/// <summary>Packets from a file, and packets into one, in the format of libpcap (version 2.4, Ethernet).</summary>
public sealed class CapturePacketBackend : IPacketBackend
{
    private const uint Magic = 0xA1B2_C3D4;
    private const uint NanosecondMagic = 0xA1B2_3C4D;
    private const int FileHeader = 24;
    private const int PacketHeader = 16;
    private const int Ethernet = 1;
    private const int LongestPacket = 65535;
    private readonly byte[]? _input;
    private readonly FileStream? _output;
    private readonly bool _isSwapped;
    private readonly byte[] _header = new byte[PacketHeader];
    private readonly TimeProvider _clock;
    private int _at = FileHeader;
    private IPacketSink? _sink;

    /// <summary>Opens the files.</summary>
    /// <param name="input">A capture whose packets are received, once the device receives; null for none.</param>
    /// <param name="output">A file that is made, for the packets that are sent; null to drop them.</param>
    /// <param name="clock">Gives the packets' time; null for the system's.</param>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    /// <exception cref="InvalidDataException">The input is no capture of Ethernet.</exception>
    public CapturePacketBackend(string? input, string? output, TimeProvider? clock = null)
    {
        _clock = clock ?? TimeProvider.System;
        if (input is not null)
        {
            _input = File.ReadAllBytes(input);
            uint magic = _input.Length < FileHeader ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(_input);
            _isSwapped = BinaryPrimitives.ReverseEndianness(magic) is Magic or NanosecondMagic;
            if ((!_isSwapped && magic is not (Magic or NanosecondMagic)) || (Number(20) & 0xFFFF) != Ethernet)
            {
                throw new InvalidDataException($"'{input}' is no capture of Ethernet in the format of libpcap; pcapng is not read.");
            }
        }

        if (output is not null)
        {
            _output = new FileStream(output, FileMode.Create, FileAccess.Write, FileShare.Read);
            Span<byte> header = stackalloc byte[FileHeader];
            header.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
            BinaryPrimitives.WriteUInt16LittleEndian(header[4..], 2);
            BinaryPrimitives.WriteUInt16LittleEndian(header[6..], 4);
            BinaryPrimitives.WriteInt32LittleEndian(header[16..], LongestPacket);
            BinaryPrimitives.WriteInt32LittleEndian(header[20..], Ethernet);
            _output.Write(header);
            _output.Flush();
        }
    }

    /// <inheritdoc/>
    public bool IsUp => true;

    /// <inheritdoc/>
    public void Start(IPacketSink sink)
    {
        ArgumentNullException.ThrowIfNull(sink);
        _sink = sink;
    }

    /// <inheritdoc/>
    public void StartReceiving()
    {
        while (_input is not null && _sink is not null && _at <= _input.Length - PacketHeader)
        {
            uint length = Number(_at + 8);
            int data = _at + PacketHeader;
            if (length > LongestPacket || length > _input.Length - data)
            {
                // What follows cannot be found.
                _at = _input.Length;
                return;
            }

            _at = data + (int)length;
            _sink.Receive(_input.AsSpan(data, (int)length));
        }
    }

    /// <inheritdoc/>
    /// <remarks>A full disk loses packets.</remarks>
    public void Send(ReadOnlySpan<byte> frame)
    {
        if (_output is null)
        {
            return;
        }

        long microseconds = _clock.GetUtcNow().Subtract(DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;
        BinaryPrimitives.WriteUInt32LittleEndian(_header, (uint)(microseconds / 1_000_000));
        BinaryPrimitives.WriteUInt32LittleEndian(_header.AsSpan(4), (uint)(microseconds % 1_000_000));
        BinaryPrimitives.WriteInt32LittleEndian(_header.AsSpan(8), frame.Length);
        BinaryPrimitives.WriteInt32LittleEndian(_header.AsSpan(12), frame.Length);
        try
        {
            _output.Write(_header);
            _output.Write(frame);
            _output.Flush();
        }
        catch (IOException)
        {
            // Nobody can be told; the capture ends in a packet that is cut short, which readers know.
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _output?.Dispose();

    private uint Number(int at)
    {
        uint value = BinaryPrimitives.ReadUInt32LittleEndian(_input.AsSpan(at));
        return _isSwapped ? BinaryPrimitives.ReverseEndianness(value) : value;
    }
}
