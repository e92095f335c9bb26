using System.Buffers.Binary;

namespace Vfio.Devices.Igb;

/// <summary>Completes checksums and cuts packets into segments (82576 datasheet §7.2.4, §7.2.5).</summary>
internal static class Segmenter
{
    private const byte Finish = 0x01;
    private const byte Push = 0x08;
    private const byte Reduced = 0x80;

    /// <summary>Completes the checksums of a packet that is not cut. Offsets that lie outside of it leave it as it is.</summary>
    public static void Complete(Span<byte> packet, in TransmitContext context, bool network, bool transport)
    {
        int networkAt = context.LinkLength;
        int transportAt = networkAt + context.NetworkLength;
        if (network && context.IsVersion4 && context.NetworkLength >= 20 && transportAt <= packet.Length)
        {
            SetHeaderChecksum(packet[networkAt..transportAt]);
        }

        if (!transport || transportAt > packet.Length)
        {
            return;
        }

        // Padding that the driver put behind a short packet is zeros, which add nothing.
        Span<byte> segment = packet[transportAt..];
        switch (context.Transport)
        {
            case 0 when segment.Length >= 8:
                SetPartial(segment, 6, isUdp: true);
                break;
            case 1 when segment.Length >= 20:
                SetPartial(segment, 16, isUdp: false);
                break;
            case 2 when segment.Length >= 12:
                BinaryPrimitives.WriteUInt32LittleEndian(segment[8..], 0);
                BinaryPrimitives.WriteUInt32LittleEndian(segment[8..], Crc32.Castagnoli(segment));
                break;
        }
    }

    /// <summary>Inserts the checksum that a legacy descriptor asks for.</summary>
    public static void CompleteLegacy(Span<byte> packet, int start, int offset)
    {
        if (start <= packet.Length && offset + 2 <= packet.Length)
        {
            ushort sum = (ushort)~InternetChecksum.Fold(InternetChecksum.Add(0, packet[start..]));
            BinaryPrimitives.WriteUInt16BigEndian(packet[offset..], sum);
        }
    }

    /// <summary>Length of the headers that each segment has, or 0 when the packet cannot be cut.</summary>
    public static int HeaderLength(ReadOnlySpan<byte> packet, in TransmitContext context)
    {
        int header = context.LinkLength + context.NetworkLength + context.TransportLength;
        bool fits = context.LinkLength >= EthernetFrame.HeaderLength
            && context.NetworkLength >= (context.IsVersion4 ? 20 : 40)
            && context.TransportLength >= (context.Transport == 1 ? 20 : 8)
            && context.Transport <= 1
            && context.SegmentSize != 0
            && header <= packet.Length;
        return fits ? header : 0;
    }

    /// <summary>Makes one segment.</summary>
    /// <param name="packet">The whole packet.</param>
    /// <param name="context">Its headers, as <see cref="HeaderLength"/> accepted them.</param>
    /// <param name="index">The segment, from 0.</param>
    /// <param name="at">Offset of the segment's payload in the packet's.</param>
    /// <param name="length">Bytes of payload.</param>
    /// <param name="isLast">Whether it is the last.</param>
    /// <param name="segment">Receives headers and payload; exactly as long.</param>
    public static void Cut(ReadOnlySpan<byte> packet, in TransmitContext context, int index, int at, int length, bool isLast, Span<byte> segment)
    {
        int header = segment.Length - length;
        packet[..header].CopyTo(segment);
        packet.Slice(header + at, length).CopyTo(segment[header..]);
        Span<byte> network = segment[context.LinkLength..];
        Span<byte> transport = network[context.NetworkLength..];
        if (context.IsVersion4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(network[2..], (ushort)network.Length);
            BinaryPrimitives.WriteUInt16BigEndian(network[4..], (ushort)(BinaryPrimitives.ReadUInt16BigEndian(network[4..]) + index));
            SetHeaderChecksum(network[..context.NetworkLength]);
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(network[4..], (ushort)(network.Length - 40));
        }

        int checksum;
        if (context.Transport == 1)
        {
            BinaryPrimitives.WriteUInt32BigEndian(transport[4..], BinaryPrimitives.ReadUInt32BigEndian(transport[4..]) + (uint)at);
            byte flags = transport[13];
            transport[13] = (byte)(flags & ~((isLast ? 0 : Finish | Push) | (index == 0 ? 0 : Reduced)));
            checksum = 16;
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(transport[4..], (ushort)transport.Length);
            checksum = 6;
        }

        BinaryPrimitives.WriteUInt16BigEndian(transport[checksum..], 0);
        ulong sum = InternetChecksum.AddPseudoHeader(network, context.IsVersion4, context.Transport == 1 ? EthernetFrame.Tcp : EthernetFrame.Udp, transport.Length);
        SetSum(transport, checksum, sum, isUdp: context.Transport == 0);
    }

    private static void SetHeaderChecksum(Span<byte> header)
    {
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], (ushort)~InternetChecksum.Fold(InternetChecksum.Add(0, header)));
    }

    /// <summary>The driver has put the sum of the pseudo header in.</summary>
    private static void SetPartial(Span<byte> segment, int offset, bool isUdp) => SetSum(segment, offset, 0, isUdp);

    private static void SetSum(Span<byte> segment, int offset, ulong sum, bool isUdp)
    {
        ushort value = (ushort)~InternetChecksum.Fold(InternetChecksum.Add(sum, segment));
        BinaryPrimitives.WriteUInt16BigEndian(segment[offset..], isUdp && value == 0 ? ushort.MaxValue : value);
    }
}
