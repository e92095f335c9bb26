using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>What is received, and into which queue: 0x5000 to 0x5FFF of BAR 0.</summary>
/// <param name="device">The device.</param>
[RegisterFile("igb filters", Size = 0x1000)]
[ReservedRegisters(0x520, 0x90, "more addresses of later controllers")]
internal sealed partial class FilterRegisters(IgbDevice device)
{
    [Register(0x000, Name = "RXCSUM", Reset = 0x300, Description = "bit 8 IP checksum, 9 TCP and UDP checksum, 13 no fragment checksum")]
    public partial uint Checksums { get; }

    [Register(0x004, Name = "RLPML", Reset = 0x2600, Description = "bytes of the longest packet, while RCTL.LPE is set")]
    public partial uint LongestPacket { get; }

    [Register(0x008, Name = "RFCTL", Description = "bit 16 no IPv6 extension headers")]
    public partial uint FilterControl { get; }

    [Register(0x200, Name = "MTA", Count = 128, Description = "multicast hash table")]
    public partial Span<uint> Multicast { get; }

    [Register(0x400, Name = "RA", Count = 16, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "addresses 0 to 15: 47:0 address, 57:50 pools, 63 valid")]
    public partial Span<ulong> Addresses { get; }

    [Register(0x480, Name = "PSRTYPE", Count = 8, Description = "of each pool: headers that are split; 31:29 reads what was written")]
    public partial Span<uint> SplitTypes { get; }

    [Register(0x4E0, Name = "RA2", Count = 8, Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "addresses 16 to 23")]
    public partial Span<ulong> MoreAddresses { get; }

    [Register(0x5B0, Name = "VLAPQF", Description = "VLAN priorities; reads what was written")]
    private partial uint VlanPriority { get; }

    [Register(0x5FC, Name = "SYNQF", Description = "reads what was written")]
    private partial uint SynFilter { get; }

    [Register(0x600, Name = "VFTA", Count = 128, Description = "VLANs that are received: a bit for each")]
    public partial Span<uint> Vlans { get; }

    [Register(0x800, Name = "WUC", Description = "wake-up is not modelled; reads what was written")]
    private partial uint WakeControl { get; }

    [Register(0x808, Name = "WUFC", Description = "reads what was written")]
    private partial uint WakeFilter { get; }

    [Register(0x810, Name = "WUS", Access = RegisterAccess.WriteOneToClear)]
    private partial uint WakeStatus { get; }

    [Register(0x818, Name = "MRQC", Description = "2:0 queues: 0 one, 2 RSS, 3 pools, 5 pools with RSS; 25:16 what is hashed")]
    public partial uint MultipleQueues { get; }

    [Register(0x81C, Name = "VT_CTL", Description = "9:7 default pool, 28 ignore addresses, 29 no default pool, 30 replication")]
    public partial uint PoolControl { get; }

    [Register(0x820, Name = "MANC", Description = "no management controller; reads what was written")]
    private partial uint Management { get; }

    [Register(0x838, Name = "IPAV", Description = "reads what was written")]
    private partial uint AddressValid { get; }

    [Register(0x840, Name = "IP4AT", Count = 4, Stride = 8, Description = "reads what was written")]
    private partial Span<uint> Internet4 { get; }

    [Register(0x880, Name = "IP6AT", Count = 4, Description = "reads what was written")]
    private partial Span<uint> Internet6 { get; }

    [Register(0x900, Name = "WUPL", Access = RegisterAccess.ReadOnly)]
    private partial uint WakeLength { get; }

    [Register(0x980, Name = "SAQF", Count = 8, Description = "five tuple filters are not modelled; reads what was written")]
    private partial Span<uint> SourceFilter { get; }

    [Register(0x9A0, Name = "DAQF", Count = 8, Description = "reads what was written")]
    private partial Span<uint> DestinationFilter { get; }

    [Register(0x9C0, Name = "SPQF", Count = 8, Description = "reads what was written")]
    private partial Span<uint> PortFilter { get; }

    [Register(0x9E0, Name = "FTQF", Count = 8, Description = "reads what was written")]
    private partial Span<uint> TupleFilter { get; }

    [Register(0xA00, Name = "WUPM", Count = 32, Access = RegisterAccess.ReadOnly, Description = "no packet has woken anything")]
    private partial Span<uint> WakePacket { get; }

    [Register(0xA80, Name = "IMIR", Count = 8, Description = "low latency interrupts are not modelled; reads what was written")]
    private partial Span<uint> Immediate { get; }

    [Register(0xAA0, Name = "IMIREXT", Count = 8, Description = "reads what was written")]
    private partial Span<uint> ImmediateExtended { get; }

    [Register(0xAC0, Name = "IMIRVP", Description = "reads what was written")]
    private partial uint ImmediateVlan { get; }

    [Register(0xACC, Name = "TXSWC", Description = "of later controllers; reads what was written")]
    private partial uint LaterSwitch { get; }

    [Register(0xAD0, Name = "VMOLR", Count = 8, Reset = 0x2600, Description = "of each pool: 13:0 longest packet, 16 long packets, 17 RSS, 24 untagged, 25 multicast table, 26 unicast table, 27 broadcast, 28 all multicast, 30 strip VLAN, 31 strip CRC")]
    public partial Span<uint> Pools { get; }

    [Register(0xAF0, Name = "RPLOLR", Description = "replicated packets: 30 strip VLAN, 31 strip CRC")]
    public partial uint Replication { get; }

    [Register(0xB00, Name = "GCR", Reset = 0x0005_0000, Description = "PCI Express; reads what was written")]
    private partial uint Express { get; }

    [Register(0xB30, Name = "FACTPS", Access = RegisterAccess.ReadOnly, Description = "function 0, full power")]
    private partial uint FunctionPower { get; }

    [Register(0xB44, Name = "GIOCTL", Count = 3, Description = "analog settings; reads what was written")]
    private partial Span<uint> Analog { get; }

    [Register(0xB50, Name = "SWSM", AfterRead = nameof(TakeSemaphore), Description = "bit 0 semaphore: a read takes it, a zero returns it; bit 1 semaphore with firmware")]
    public partial uint Semaphore { get; set; }

    [Register(0xB54, Name = "FWSM", Access = RegisterAccess.ReadOnly, Description = "no firmware")]
    private partial uint Firmware { get; }

    [Register(0xB5C, Name = "SW_FW_SYNC", Description = "who uses NVM and PHYs; reads what was written")]
    private partial uint Synchronization { get; }

    [Register(0xB74, Name = "DCA_CTRL", Description = "reads what was written")]
    private partial uint CacheAccess { get; }

    [Register(0xBB8, Name = "PCIEMISC", Description = "reads what was written")]
    private partial uint ExpressMiscellaneous { get; }

    [Register(0xBBC, Name = "IOVCTL", Description = "reads what was written")]
    private partial uint Virtualization { get; }

    [Register(0xC00, Name = "RETA", Count = 32, Description = "128 bytes: the queue of each hash, 3:0")]
    public partial Span<uint> Redirection { get; }

    [Register(0xC80, Name = "RSSRK", Count = 10, Description = "key of the hash")]
    public partial Span<uint> HashKey { get; }

    [Register(0xCB0, Name = "ETQF", Count = 8, Description = "Ethernet types: 15:0 type, 18:16 queue, 26 enable, 31 queue enable")]
    public partial Span<uint> Types { get; }

    [Register(0xD00, Name = "VLVF", Count = 32, Description = "VLANs of pools: 11:0 VLAN, 19:12 pools, 31 valid")]
    public partial Span<uint> PoolVlans { get; }

    [Register(0xDD0, Name = "DMCRTRH", Count = 2, Description = "reads what was written")]
    private partial Span<uint> CoalescingRate { get; }

    [Register(0xF00, Name = "FFLT", Count = 4, Stride = 8, Description = "reads what was written")]
    private partial Span<uint> FlexibleLength { get; }

    [Register(0xF50, Name = "TSYNCRXCFG", Description = "time stamps are not modelled; reads what was written")]
    private partial uint TimeFilter { get; }

    /// <summary>An address of the 24, with its valid bit and pools.</summary>
    public ulong Address(int index) => index < 16 ? Addresses[index] : MoreAddresses[index - 16];

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind) => Addresses[0] = device.Options.AddressValue | (1UL << 63);

    private void TakeSemaphore() => Semaphore |= 1;
}
