using System.Buffers.Binary;

namespace Vfio.Devices.Igb;

/// <summary>What stands where in a packet: tag, IP header, transport header. Every length in the packet is checked before it is believed.</summary>
internal readonly struct EthernetFrame
{
    public const int HeaderLength = 14;

    /// <summary>What a frame is padded to, without CRC.</summary>
    public const int Shortest = 60;

    /// <summary>What the controller sends and receives at most, without CRC.</summary>
    public const int Longest = 9728;
    public const int Tcp = 6;
    public const int Udp = 17;
    public const int Sctp = 132;
    private const int Version4 = 0x0800;
    private const int Version6 = 0x86DD;

    private EthernetFrame(ReadOnlySpan<byte> frame, ushort vlanType)
    {
        Type = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]);
        Network = HeaderLength;
        if (Type == vlanType && frame.Length >= HeaderLength + 4)
        {
            IsTagged = true;
            Tag = BinaryPrimitives.ReadUInt16BigEndian(frame[14..]);
            Type = BinaryPrimitives.ReadUInt16BigEndian(frame[16..]);
            Network += 4;
        }

        if (Type == Version4)
        {
            Parse4(frame[Network..], out bool is4, out bool hasOptions, out bool isFragment, out int end, out int transport, out int protocol);
            (IsVersion4, HasExtensions, IsFragment, End, Protocol) = (is4, hasOptions, isFragment, Network + end, protocol);
            Transport = Network + transport;
        }
        else if (Type == Version6)
        {
            Parse6(frame[Network..], out bool is6, out bool hasExtensions, out bool isFragment, out int end, out int transport, out int protocol);
            (IsVersion6, HasExtensions, IsFragment, End, Protocol) = (is6, hasExtensions, isFragment, Network + end, protocol);
            Transport = Network + transport;
        }

        int least = Protocol switch { Tcp => 20, Udp => 8, Sctp => 12, _ => 0 };
        HasTransport = least != 0 && !IsFragment && Transport + least <= End;
    }

    /// <summary>The Ethernet type, behind a tag.</summary>
    public int Type { get; }

    public bool IsTagged { get; }

    /// <summary>Priority and VLAN.</summary>
    public ushort Tag { get; }

    public bool IsVersion4 { get; }

    public bool IsVersion6 { get; }

    /// <summary>IPv4 options or IPv6 extension headers.</summary>
    public bool HasExtensions { get; }

    public bool IsFragment { get; }

    /// <summary>Offset of the IP header.</summary>
    public int Network { get; }

    /// <summary>Offset of what follows the IP headers.</summary>
    public int Transport { get; }

    /// <summary>Offset of the end of the IP packet, which padding may follow.</summary>
    public int End { get; }

    public int Protocol { get; }

    /// <summary>Whether a whole TCP, UDP or SCTP header is at <see cref="Transport"/>.</summary>
    public bool HasTransport { get; }

    /// <param name="frame">At least 14 bytes.</param>
    /// <param name="vlanType">The type of tagged frames.</param>
    public static EthernetFrame Parse(ReadOnlySpan<byte> frame, ushort vlanType) => new(frame, vlanType);

    public static bool IsBroadcast(ReadOnlySpan<byte> frame) => (BinaryPrimitives.ReadUInt64LittleEndian(frame) & 0xFFFF_FFFF_FFFF) == 0xFFFF_FFFF_FFFF;

    private static void Parse4(ReadOnlySpan<byte> packet, out bool isValid, out bool hasOptions, out bool isFragment, out int end, out int transport, out int protocol)
    {
        (isValid, hasOptions, isFragment, end, transport, protocol) = (false, false, false, 0, 0, 0);
        if (packet.Length < 20 || packet[0] >> 4 != 4)
        {
            return;
        }

        int header = (packet[0] & 0xF) * 4;
        int length = BinaryPrimitives.ReadUInt16BigEndian(packet[2..]);
        if (header < 20 || length < header || length > packet.Length)
        {
            return;
        }

        isValid = true;
        hasOptions = header > 20;
        isFragment = (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x3FFF) != 0;
        (end, transport, protocol) = (length, header, packet[9]);
    }

    private static void Parse6(ReadOnlySpan<byte> packet, out bool isValid, out bool hasExtensions, out bool isFragment, out int end, out int transport, out int protocol)
    {
        (isValid, hasExtensions, isFragment, end, transport, protocol) = (false, false, false, 0, 0, 0);
        if (packet.Length < 40 || packet[0] >> 4 != 6 || BinaryPrimitives.ReadUInt16BigEndian(packet[4..]) + 40 > packet.Length)
        {
            return;
        }

        isValid = true;
        end = BinaryPrimitives.ReadUInt16BigEndian(packet[4..]) + 40;
        protocol = packet[6];
        transport = 40;

        // Hop-by-hop, routing, fragment and destination options; a packet has room for a bounded number of them.
        while (protocol is 0 or 43 or 44 or 60 && transport + 8 <= end)
        {
            hasExtensions = true;
            isFragment |= protocol == 44;
            int length = protocol == 44 ? 8 : (packet[transport + 1] + 1) * 8;
            protocol = packet[transport];
            transport += length;
        }
    }
}
