using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>Control, link, NVM, receive and transmit control, and mailboxes: 0x0000 to 0x14FF of BAR 0.</summary>
/// <param name="device">The device.</param>
[RegisterFile("igb general", Size = 0x1500)]
[ReservedRegisters(0x003C, 0x84, "software definable pins, time")]
internal sealed partial class GeneralRegisters(IgbDevice device)
{
    [Register(0x0000, Name = "CTRL", Reset = 0x0000_0241, BeforeWrite = nameof(ChangeControl), Description = "bit 0 full duplex, 2 no bus master, 6 set link up, 26 reset, 30 VLAN mode, 31 PHY reset")]
    public partial uint Control { get; set; }

    [Register(0x0004, Name = "CTRL_ALIAS", BeforeRead = nameof(ReadControl), BeforeWrite = nameof(WriteControl), Description = "CTRL once more")]
    private partial uint ControlAlias { get; }

    [Register(0x0008, Name = "STATUS", Access = RegisterAccess.ReadOnly, BeforeRead = nameof(ReadStatus), Description = "bit 0 full duplex, 1 link up, 7:6 speed (2 is 1 Gb/s), 17:14 number of VFs, 18 VFs enabled, 19 bus master allowed, 21 reset done")]
    public partial uint Status { get; }

    [Register(0x0010, Name = "EECD", BeforeRead = nameof(ReadNvmControl), Description = "NVM: bit 6 request, 7 grant, 8 present, 9 auto read done, 14:11 size")]
    public partial uint NvmControl { get; }

    [Register(0x0014, Name = "EERD", BeforeWrite = nameof(ReadNvm), Description = "NVM read: bit 0 start, 1 done, 15:2 word, 31:16 data")]
    public partial uint NvmRead { get; }

    [Register(0x0018, Name = "CTRL_EXT", AfterWrite = nameof(ExtendedChanged), Description = "bit 14 PF reset done, 24 auto mask, 28 driver loaded; the link mode of bits 23:22 stays internal PHY")]
    public partial uint ControlExtended { get; set; }

    [Register(0x001C, Name = "FLA", Access = RegisterAccess.ReadOnly, Description = "no flash")]
    public partial uint Flash { get; }

    [Register(0x0020, Name = "MDIC", Reset = 0x1000_0000, BeforeWrite = nameof(AccessPhy), Description = "PHY access: 15:0 data, 20:16 register, 25:21 PHY, 26 write, 27 read, 28 ready, 30 error")]
    public partial uint PhyAccess { get; }

    [Register(0x0024, Name = "SCTL", Description = "SerDes; reads what was written")]
    public partial uint Serdes { get; }

    [Register(0x0028, Name = "FCAL", Reset = 0x00C2_8001, Description = "flow control address; reads what was written")]
    public partial uint FlowAddressLow { get; }

    [Register(0x002C, Name = "FCAH", Reset = 0x0100)]
    public partial uint FlowAddressHigh { get; }

    [Register(0x0030, Name = "FCT", Reset = 0x8808)]
    public partial uint FlowType { get; }

    [Register(0x0034, Name = "CONNSW", Description = "copper and fiber switch; reads what was written")]
    public partial uint ConnectionSwitch { get; }

    [Register(0x0038, Name = "VET", Reset = 0x8100_8100, Description = "VLAN Ethernet type, 15:0")]
    public partial uint VlanType { get; }

    [Register(0x00C0, Name = "ICR", BeforeRead = nameof(ReadCause), BeforeWrite = nameof(ClearCause), Description = "interrupt causes, as at 0x1500")]
    private partial uint Cause { get; }

    [Register(0x00C4, Name = "ITR", Description = "reads what was written")]
    private partial uint Throttle { get; }

    [Register(0x00C8, Name = "ICS", Access = RegisterAccess.WriteOnly, AfterWrite = nameof(SetCause), Description = "as at 0x1504")]
    private partial uint CauseSet { get; }

    [Register(0x00D0, Name = "IMS", BeforeRead = nameof(ReadMask), AfterWrite = nameof(SetMask), Description = "as at 0x1508")]
    private partial uint MaskSet { get; }

    [Register(0x00D8, Name = "IMC", Access = RegisterAccess.WriteOnly, AfterWrite = nameof(ClearMask), Description = "as at 0x150C")]
    private partial uint MaskClear { get; }

    [Register(0x00E0, Name = "IAM", BeforeRead = nameof(ReadAutoMask), AfterWrite = nameof(SetAutoMask), Description = "as at 0x1510")]
    private partial uint AutoMask { get; }

    [Register(0x0100, Name = "RCTL", AfterWrite = nameof(ReceiveChanged), Description = "receive: bit 1 enable, 3 unicast promiscuous, 4 multicast promiscuous, 5 long packets, 7:6 loopback, 13:12 multicast hash, 15 broadcast, 17:16 buffer size, 18 VLAN filter, 26 strip CRC")]
    public partial uint ReceiveControl { get; }

    [Register(0x0170, Name = "FCTTV", Description = "flow control timer; reads what was written")]
    public partial uint FlowTimer { get; }

    [Register(0x0178, Name = "TXCW", Description = "reads what was written")]
    public partial uint TransmitConfiguration { get; }

    [Register(0x0400, Name = "TCTL", AfterWrite = nameof(TransmitChanged), Description = "transmit: bit 1 enable, 3 pad short packets")]
    public partial uint TransmitControl { get; }

    [Register(0x0404, Name = "TCTL_EXT", Description = "reads what was written")]
    public partial uint TransmitControlExtended { get; }

    [Register(0x0410, Name = "TIPG", Reset = 0x0060_2006, Description = "reads what was written")]
    public partial uint InterPacketGap { get; }

    [Register(0x0458, Name = "AIT", Description = "reads what was written")]
    public partial uint InterframeSpacing { get; }

    [Register(0x0800, Name = "VMBMEM", Count = 128, Description = "mailboxes: 16 words for each VF")]
    public partial Span<uint> MailboxMemory { get; }

    [Register(0x0C00, Name = "P2VMAILBOX", Count = 8, BeforeWrite = nameof(WriteMailbox), Description = "of each VF: bit 0 send, 1 acknowledge, 2 VF owns, 3 PF owns, 4 take from the VF")]
    public partial Span<uint> Mailbox { get; }

    [Register(0x0C80, Name = "MBVFICR", Access = RegisterAccess.WriteOneToClear, Description = "VFs that sent (7:0) and acknowledged (23:16)")]
    public partial uint MailboxCause { get; set; }

    [Register(0x0C84, Name = "MBVFIMR", Reset = 0xFF, Description = "VFs whose mail interrupts")]
    public partial uint MailboxMask { get; }

    [Register(0x0C88, Name = "VFLRE", Access = RegisterAccess.WriteOneToClear, Description = "VFs that were reset")]
    public partial uint FunctionResets { get; set; }

    [Register(0x0C8C, Name = "VFRE", AfterWrite = nameof(PoolsChanged), Description = "pools that receive")]
    public partial uint PoolReceive { get; set; }

    [Register(0x0C90, Name = "VFTE", AfterWrite = nameof(PoolsChanged), Description = "pools that transmit")]
    public partial uint PoolTransmit { get; set; }

    [Register(0x0E00, Name = "LEDCTL", Reset = 0x0784_0602, Description = "reads what was written")]
    public partial uint Led { get; }

    [Register(0x0E04, Name = "MDICNFG", Description = "of later controllers; reads what was written")]
    public partial uint PhyConfiguration { get; }

    [Register(0x0E14, Name = "PHPM", Description = "PHY power; reads what was written")]
    public partial uint PhyPower { get; }

    [Register(0x1000, Name = "PBA", Reset = 0x0014_0030, Description = "reads what was written")]
    public partial uint PacketBuffer { get; }

    [Register(0x1008, Name = "PBS", Description = "reads what was written")]
    public partial uint PacketBufferSize { get; }

    [Register(0x1010, Name = "EEMNGCTL", Access = RegisterAccess.ReadOnly, Reset = 0x000C_0000, Description = "configuration of both ports is done")]
    public partial uint ManagementNvm { get; }

    [Register(0x1028, Name = "I2CCMD", Access = RegisterAccess.ReadOnly, Reset = 0xA000_0000, Description = "ready, with an error: no module")]
    public partial uint I2cCommand { get; }

    [Register(0x102C, Name = "EEWR", BeforeWrite = nameof(WriteNvm), Description = "NVM write: as EERD, with the data to write")]
    public partial uint NvmWrite { get; }

    [Register(0x1048, Name = "FRTIMER", Access = RegisterAccess.ReadOnly, BeforeRead = nameof(ReadTimer), Description = "microseconds, free running")]
    public partial uint FreeTimer { get; }

    [Register(0x104C, Name = "TCPTIMER", Description = "not modelled; reads what was written")]
    public partial uint TcpTimer { get; }

    public bool IsReceiving => (ReceiveControl & 2) != 0;

    public bool IsTransmitting => (TransmitControl & 2) != 0;

    public bool StripsCrc => (ReceiveControl & (1U << 26)) != 0;

    /// <summary>CTRL.VME.</summary>
    public bool UsesVlan => (Control & (1U << 30)) != 0;

    /// <summary>RCTL.LBM: what is sent comes back from the MAC.</summary>
    public bool IsLooping => (ReceiveControl & 0xC0) == 0x40;

    private uint ChangeControl(uint value, uint old) => device.WriteControl(value, old);

    private uint ReadControl() => Control;

    private uint WriteControl(uint value)
    {
        Control = device.WriteControl(value, Control);
        return 0;
    }

    private uint ReadStatus() => device.ReadStatus();

    private uint ReadNvmControl(uint content) => device.Nvm.ReadControl(content);

    private uint ReadNvm(uint value) => device.Nvm.Read(value);

    private uint WriteNvm(uint value) => device.Nvm.Write(value);

    private uint AccessPhy(uint value) => device.Phy.Access(value);

    private uint ReadCause() => device.Causes.ReadCause();

    private uint ClearCause(uint value)
    {
        device.Causes.ClearCause(value);
        return 0;
    }

    private void SetCause(uint value) => device.Causes.Raise(value);

    private uint ReadMask() => device.Causes.Mask;

    private void SetMask(uint value) => device.Causes.AddMask(value);

    private void ClearMask(uint value) => device.Causes.RemoveMask(value);

    private uint ReadAutoMask() => device.Causes.AutoMask;

    private void SetAutoMask(uint value) => device.Causes.AutoMask = value;

    private void ReceiveChanged(uint value, uint old) => device.ReceiveChanged((value & ~old & 2) != 0);

    private void TransmitChanged() => device.Wake();

    private void PoolsChanged() => device.Wake();

    private uint WriteMailbox(int index, uint value, uint old) => device.Mailboxes.WritePhysical(index, value, old);

    private void ExtendedChanged(uint value, uint old)
    {
        if ((value & ~old & (1U << 14)) != 0)
        {
            device.Mailboxes.PhysicalResetDone();
        }
    }

    private uint ReadTimer() => device.Microseconds;
}
