namespace Vfio.Devices.Igb;

/// <summary>What a context descriptor says: where the headers of the packets that follow are (82576 datasheet §7.2.2.2).</summary>
/// <param name="VlanAndLengths">IP header length 8:0, MAC header length 15:9, tag 31:16.</param>
/// <param name="Type">IPv4 10, transport 12:11 (0 UDP, 1 TCP, 2 SCTP).</param>
/// <param name="Sizes">Transport header length 15:8, payload of a segment 31:16.</param>
internal readonly record struct TransmitContext(uint VlanAndLengths, uint Type, uint Sizes)
{
    public int NetworkLength => (int)VlanAndLengths & 0x1FF;

    public int LinkLength => (int)(VlanAndLengths >> 9) & 0x7F;

    public ushort Tag => (ushort)(VlanAndLengths >> 16);

    public bool IsVersion4 => (Type & 0x400) != 0;

    /// <summary>0 UDP, 1 TCP, 2 SCTP.</summary>
    public int Transport => (int)(Type >> 11) & 3;

    public int TransportLength => (int)(Sizes >> 8) & 0xFF;

    public int SegmentSize => (int)(Sizes >> 16);
}
