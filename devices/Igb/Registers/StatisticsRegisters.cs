using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>Statistics, which a read clears, and the PCS: 0x4000 to 0x4FFF of BAR 0. Octets count the CRC. What has no description never counts.</summary>
[RegisterFile("igb statistics", Size = 0x1000)]
internal sealed partial class StatisticsRegisters
{
    [Register(0x000, Name = "CRCERRS", Access = RegisterAccess.ReadToClear)]
    private partial uint CrcErrors { get; }

    [Register(0x004, Name = "ALGNERRC", Access = RegisterAccess.ReadToClear)]
    private partial uint AlignmentErrors { get; }

    [Register(0x008, Name = "SYMERRS", Access = RegisterAccess.ReadToClear)]
    private partial uint SymbolErrors { get; }

    [Register(0x00C, Name = "RXERRC", Access = RegisterAccess.ReadToClear)]
    private partial uint ReceiveErrors { get; }

    [Register(0x010, Name = "MPC", Access = RegisterAccess.ReadToClear, Description = "packets that came while the buffer was full")]
    public partial uint Missed { get; set; }

    [Register(0x014, Name = "SCC", Access = RegisterAccess.ReadToClear)]
    private partial uint SingleCollisions { get; }

    [Register(0x018, Name = "ECOL", Access = RegisterAccess.ReadToClear)]
    private partial uint ExcessiveCollisions { get; }

    [Register(0x01C, Name = "MCC", Access = RegisterAccess.ReadToClear)]
    private partial uint MultipleCollisions { get; }

    [Register(0x020, Name = "LATECOL", Access = RegisterAccess.ReadToClear)]
    private partial uint LateCollisions { get; }

    [Register(0x028, Name = "COLC", Access = RegisterAccess.ReadToClear)]
    private partial uint Collisions { get; }

    [Register(0x02C, Name = "CBTMPC", Access = RegisterAccess.ReadToClear)]
    private partial uint BreakerSent { get; }

    [Register(0x030, Name = "DC", Access = RegisterAccess.ReadToClear)]
    private partial uint Deferred { get; }

    [Register(0x034, Name = "TNCRS", Access = RegisterAccess.ReadToClear)]
    private partial uint NoCarrier { get; }

    [Register(0x038, Name = "SEC", Access = RegisterAccess.ReadToClear)]
    private partial uint SequenceErrors { get; }

    [Register(0x03C, Name = "HTDPMC", Access = RegisterAccess.ReadToClear)]
    private partial uint HostDiscarded { get; }

    [Register(0x040, Name = "RLEC", Access = RegisterAccess.ReadToClear)]
    private partial uint LengthErrors { get; }

    [Register(0x044, Name = "CBRDPC", Access = RegisterAccess.ReadToClear)]
    private partial uint BreakerDropped { get; }

    [Register(0x048, Name = "XONRXC", Access = RegisterAccess.ReadToClear)]
    private partial uint XonReceived { get; }

    [Register(0x04C, Name = "XONTXC", Access = RegisterAccess.ReadToClear)]
    private partial uint XonSent { get; }

    [Register(0x050, Name = "XOFFRXC", Access = RegisterAccess.ReadToClear)]
    private partial uint XoffReceived { get; }

    [Register(0x054, Name = "XOFFTXC", Access = RegisterAccess.ReadToClear)]
    private partial uint XoffSent { get; }

    [Register(0x058, Name = "FCRUC", Access = RegisterAccess.ReadToClear)]
    private partial uint FlowUnsupported { get; }

    [Register(0x05C, Name = "PRC", Count = 6, Access = RegisterAccess.ReadToClear, Description = "received packets of 64, to 127, 255, 511, 1023 and 1522 bytes")]
    public partial Span<uint> ReceivedBySize { get; }

    [Register(0x074, Name = "GPRC", Access = RegisterAccess.ReadToClear, Description = "good packets received")]
    public partial uint GoodReceived { get; set; }

    [Register(0x078, Name = "BPRC", Access = RegisterAccess.ReadToClear, Description = "broadcasts received")]
    public partial uint BroadcastsReceived { get; set; }

    [Register(0x07C, Name = "MPRC", Access = RegisterAccess.ReadToClear, Description = "multicasts received")]
    public partial uint MulticastsReceived { get; set; }

    [Register(0x080, Name = "GPTC", Access = RegisterAccess.ReadToClear, Description = "good packets sent")]
    public partial uint GoodSent { get; set; }

    [Register(0x088, Name = "GORC", Access = RegisterAccess.ReadToClear, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "bytes of good packets received")]
    public partial ulong GoodOctetsReceived { get; set; }

    [Register(0x090, Name = "GOTC", Access = RegisterAccess.ReadToClear, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "bytes of good packets sent")]
    public partial ulong GoodOctetsSent { get; set; }

    [Register(0x0A0, Name = "RNBC", Access = RegisterAccess.ReadToClear, Description = "packets that came while their queue had no descriptors")]
    public partial uint NoBuffers { get; set; }

    [Register(0x0A4, Name = "RUC", Access = RegisterAccess.ReadToClear, Description = "packets of less than 64 bytes")]
    public partial uint Undersized { get; set; }

    [Register(0x0A8, Name = "RFC", Access = RegisterAccess.ReadToClear)]
    private partial uint Fragments { get; }

    [Register(0x0AC, Name = "ROC", Access = RegisterAccess.ReadToClear, Description = "packets longer than RCTL.LPE and RLPML allow")]
    public partial uint Oversized { get; set; }

    [Register(0x0B0, Name = "RJC", Access = RegisterAccess.ReadToClear)]
    private partial uint Jabber { get; }

    [Register(0x0B4, Name = "MGTPRC", Access = RegisterAccess.ReadToClear)]
    private partial uint ManagementReceived { get; }

    [Register(0x0B8, Name = "MGTPDC", Access = RegisterAccess.ReadToClear)]
    private partial uint ManagementDropped { get; }

    [Register(0x0BC, Name = "MGTPTC", Access = RegisterAccess.ReadToClear)]
    private partial uint ManagementSent { get; }

    [Register(0x0C0, Name = "TOR", Access = RegisterAccess.ReadToClear, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "bytes of all packets received")]
    public partial ulong OctetsReceived { get; set; }

    [Register(0x0C8, Name = "TOT", Access = RegisterAccess.ReadToClear, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "bytes of all packets sent")]
    public partial ulong OctetsSent { get; set; }

    [Register(0x0D0, Name = "TPR", Access = RegisterAccess.ReadToClear, Description = "packets received, also those that no filter took")]
    public partial uint Received { get; set; }

    [Register(0x0D4, Name = "TPT", Access = RegisterAccess.ReadToClear, Description = "packets sent")]
    public partial uint Sent { get; set; }

    [Register(0x0D8, Name = "PTC", Count = 6, Access = RegisterAccess.ReadToClear, Description = "sent packets of 64, to 127, 255, 511, 1023 and 1522 bytes")]
    public partial Span<uint> SentBySize { get; }

    [Register(0x0F0, Name = "MPTC", Access = RegisterAccess.ReadToClear, Description = "multicasts sent")]
    public partial uint MulticastsSent { get; set; }

    [Register(0x0F4, Name = "BPTC", Access = RegisterAccess.ReadToClear, Description = "broadcasts sent")]
    public partial uint BroadcastsSent { get; set; }

    [Register(0x0F8, Name = "TSCTC", Access = RegisterAccess.ReadToClear, Description = "packets that were cut into segments")]
    public partial uint Segmentations { get; set; }

    [Register(0x0FC, Name = "TSCTFC", Access = RegisterAccess.ReadToClear, Description = "packets that could not be cut")]
    public partial uint SegmentationFailures { get; set; }

    [Register(0x100, Name = "IAC", Access = RegisterAccess.ReadToClear, Description = "messages and assertions of the pin")]
    public partial uint Interrupts { get; set; }

    [Register(0x104, Name = "RPTHC", Access = RegisterAccess.ReadToClear, Description = "packets written to memory")]
    public partial uint ReceivedToHost { get; set; }

    [Register(0x108, Name = "ICRXATC", Count = 4, Access = RegisterAccess.ReadToClear)]
    private partial Span<uint> TimerCauses { get; }

    [Register(0x118, Name = "HGPTC", Access = RegisterAccess.ReadToClear, Description = "packets of the host sent")]
    public partial uint HostGoodSent { get; set; }

    [Register(0x11C, Name = "ICTXQMTC", Count = 3, Access = RegisterAccess.ReadToClear)]
    private partial Span<uint> QueueCauses { get; }

    [Register(0x128, Name = "HGORC", Access = RegisterAccess.ReadToClear, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "bytes written to memory")]
    public partial ulong HostOctetsReceived { get; set; }

    [Register(0x130, Name = "HGOTC", Access = RegisterAccess.ReadToClear, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "bytes of the host sent")]
    public partial ulong HostOctetsSent { get; set; }

    [Register(0x138, Name = "LENERRS", Access = RegisterAccess.ReadToClear)]
    private partial uint LengthMismatches { get; }

    [Register(0x158, Name = "B2OGPRC", Count = 2, Access = RegisterAccess.ReadToClear)]
    private partial Span<uint> ManagementTraffic { get; }

    [Register(0x200, Name = "PCS_CFG0", Reset = 8, Description = "reads what was written")]
    private partial uint PcsConfiguration { get; }

    [Register(0x208, Name = "PCS_LCTL", Description = "SerDes is not modelled; reads what was written")]
    private partial uint PcsControl { get; }

    [Register(0x20C, Name = "PCS_LSTAT", Access = RegisterAccess.ReadOnly, Description = "no link by SerDes")]
    private partial uint PcsStatus { get; }

    [Register(0x218, Name = "PCS_ANADV", Count = 5, Description = "reads what was written")]
    private partial Span<uint> PcsNegotiation { get; }

    /// <summary>Counts a packet that was sent.</summary>
    public void CountSent(ReadOnlySpan<byte> frame)
    {
        uint length = (uint)frame.Length + 4;
        Sent++;
        GoodSent++;
        HostGoodSent++;
        OctetsSent += length;
        GoodOctetsSent += length;
        HostOctetsSent += length;
        SentBySize[SizeClass(length)]++;

        if ((frame[0] & 1) != 0)
        {
            if (EthernetFrame.IsBroadcast(frame))
            {
                BroadcastsSent++;
            }
            else
            {
                MulticastsSent++;
            }
        }
    }

    /// <summary>Counts a packet that came from the link, whether or not a filter takes it.</summary>
    public void CountArrived(int length)
    {
        Received++;
        OctetsReceived += (uint)length + 4;
    }

    /// <summary>Counts a packet that filters took.</summary>
    public void CountReceived(ReadOnlySpan<byte> frame)
    {
        uint length = (uint)frame.Length + 4;
        GoodReceived++;
        GoodOctetsReceived += length;
        ReceivedBySize[SizeClass(length)]++;

        if ((frame[0] & 1) != 0)
        {
            if (EthernetFrame.IsBroadcast(frame))
            {
                BroadcastsReceived++;
            }
            else
            {
                MulticastsReceived++;
            }
        }
    }

    /// <summary>Counts a packet that is in memory.</summary>
    public void CountDelivered(int length)
    {
        ReceivedToHost++;
        HostOctetsReceived += (uint)length + 4;
    }

    private static int SizeClass(uint length) => length switch
    {
        <= 64 => 0,
        <= 127 => 1,
        <= 255 => 2,
        <= 511 => 3,
        <= 1023 => 4,
        _ => 5,
    };
}
