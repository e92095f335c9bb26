using System.Buffers.Binary;

namespace Vfio.Devices.Igb;

/// <summary>What a receive descriptor says of a packet (82576 datasheet §7.1.4, §7.1.5).</summary>
internal struct ReceiveFields
{
    private const uint Done = 1;
    private const uint EndOfPacket = 2;
    private const uint VlanPacket = 8;
    private const uint UdpChecked = 1U << 4;
    private const uint TransportChecked = 1U << 5;
    private const uint HeaderChecked = 1U << 6;
    private const uint Multicast = 1U << 7;
    private const uint UdpValid = 1U << 10;
    private const uint Inside = 1U << 18;
    private const uint TransportError = 1U << 29;
    private const uint HeaderError = 1U << 30;
    private uint _status;
    private uint _type;
    private ushort _network;
    private bool _isSplit;

    public bool IsLegacy { get; set; }

    public bool IsStripped { get; set; }

    public ushort Tag { get; set; }

    public bool IsInside { get; set; }

    public uint HashType { get; set; }

    public uint Hash { get; set; }

    /// <summary>RXCSUM.</summary>
    public uint ChecksumControl { get; set; }

    /// <summary>Bytes that go into the header buffer.</summary>
    public int HeaderLength { get; private set; }

    public int Descriptors { get; set; }

    /// <summary>Looks at types and checksums.</summary>
    public void Classify(ReadOnlySpan<byte> frame, in EthernetFrame layout)
    {
        _status = Done | EndOfPacket | (IsStripped ? VlanPacket : 0) | (IsInside ? Inside : 0);
        if ((frame[0] & 1) != 0 && !EthernetFrame.IsBroadcast(frame))
        {
            _status |= Multicast;
        }

        if (layout.IsVersion4)
        {
            _type |= layout.HasExtensions ? 3U : 1U;
            _network = BinaryPrimitives.ReadUInt16BigEndian(frame[(layout.Network + 4)..]);
            if ((ChecksumControl & 0x100) != 0)
            {
                ushort sum = InternetChecksum.Fold(InternetChecksum.Add(0, frame.Slice(layout.Network, (frame[layout.Network] & 0xF) * 4)));
                _status |= HeaderChecked | (sum == 0xFFFF ? 0 : HeaderError);
            }
        }
        else if (layout.IsVersion6)
        {
            _type |= layout.HasExtensions ? 0xCU : 4U;
        }

        if (layout.HasTransport)
        {
            _type |= layout.Protocol switch { EthernetFrame.Tcp => 0x10U, EthernetFrame.Udp => 0x20U, _ => 0x40U };
            CheckTransport(frame, layout);
        }
    }

    /// <summary>Decides how much goes into the header buffer: up to the end of the transport header, else of what the buffer takes.</summary>
    public void ChooseHeader(ReadOnlySpan<byte> frame, in EthernetFrame layout, int packetLength, int headerSize, bool always)
    {
        int header = 0;
        if (layout.HasTransport)
        {
            int transport = layout.Protocol switch { EthernetFrame.Tcp => (frame[layout.Transport + 12] >> 4) * 4, EthernetFrame.Udp => 8, _ => 12 };
            header = layout.Transport + transport - (IsStripped ? 4 : 0);
        }

        _isSplit = header != 0 && header <= headerSize && header <= packetLength;
        HeaderLength = _isSplit ? header : always ? Math.Min(packetLength, headerSize) : 0;
    }

    /// <summary>Fills a descriptor that is given back.</summary>
    public readonly void Write(Span<byte> descriptor, int length, bool isFirst, bool isLast)
    {
        uint status = isLast ? _status : Done;
        if (IsLegacy)
        {
            // The errors of checksums are bits 5 and 6 of their byte.
            uint low = (status & 0xFF) | (((status >> 24) & 0x60) << 8);
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], (uint)length);
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[12..], low | ((uint)Tag << 16));
            return;
        }

        uint header = isFirst && HeaderLength != 0 ? ((uint)HeaderLength << 21) | (_isSplit ? 1U << 31 : 0) : 0;
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor, HashType | (_type << 4) | header);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[4..], (ChecksumControl & 0x2000) != 0 || HashType != 0 ? Hash : _network);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], status);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[12..], (uint)length | ((uint)Tag << 16));
    }

    private void CheckTransport(ReadOnlySpan<byte> frame, in EthernetFrame layout)
    {
        if ((ChecksumControl & 0x200) == 0 || (layout.HasExtensions && layout.IsVersion6))
        {
            return;
        }

        ReadOnlySpan<byte> segment = frame[layout.Transport..layout.End];
        if (layout.Protocol == EthernetFrame.Sctp)
        {
            return;
        }

        if (layout.Protocol == EthernetFrame.Udp)
        {
            if (segment[6] == 0 && segment[7] == 0)
            {
                // The sender has not computed it.
                return;
            }

            _status |= UdpChecked | UdpValid;
        }

        ulong sum = InternetChecksum.AddPseudoHeader(frame[layout.Network..], layout.IsVersion4, layout.Protocol, segment.Length);
        _status |= TransportChecked | (InternetChecksum.Fold(InternetChecksum.Add(sum, segment)) == 0xFFFF ? 0 : TransportError);
    }
}
