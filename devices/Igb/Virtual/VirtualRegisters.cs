using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>The registers of a virtual function that are its own: 0x0000 to 0x27FF of its BAR 0. Guarded by the physical function's state lock.</summary>
/// <param name="function">The virtual function.</param>
[RegisterFile("igb virtual function", Size = 0x2800)]
internal sealed partial class VirtualRegisters(IgbVirtualFunction function)
{
    [Register(0x0000, Name = "VTCTRL", BeforeWrite = nameof(WriteControl), Description = "bit 26 resets the function's queues and interrupts")]
    private partial uint Control { get; }

    [Register(0x0008, Name = "VTSTATUS", Access = RegisterAccess.ReadOnly, BeforeRead = nameof(ReadStatus), Description = "link and speed, as STATUS of the physical function")]
    private partial uint Status { get; }

    [Register(0x0800, Name = "VMBMEM", Count = 16, BeforeRead = nameof(ReadMail), BeforeWrite = nameof(WriteMail), Description = "the mailbox")]
    private partial Span<uint> MailboxMemory { get; }

    [Register(0x0C40, Name = "V2PMAILBOX", BeforeRead = nameof(ReadMailbox), BeforeWrite = nameof(WriteMailbox), Description = "bit 0 send, 1 acknowledge, 2 VF owns, 3 PF owns, 4 message, 5 acknowledgement, 6 PF in reset, 7 reset done; a read clears 4, 5 and 7")]
    private partial uint Mailbox { get; }

    [Register(0x0F10, Name = "VFGPRC", Access = RegisterAccess.ReadOnly, Description = "packets received")]
    public partial uint Received { get; set; }

    [Register(0x0F14, Name = "VFGPTC", Access = RegisterAccess.ReadOnly, Description = "packets sent")]
    public partial uint Sent { get; set; }

    [Register(0x0F18, Name = "VFGORC", Access = RegisterAccess.ReadOnly, Description = "bytes received")]
    public partial uint OctetsReceived { get; set; }

    [Register(0x0F34, Name = "VFGOTC", Access = RegisterAccess.ReadOnly, Description = "bytes sent")]
    public partial uint OctetsSent { get; set; }

    [Register(0x0F3C, Name = "VFMPRC", Access = RegisterAccess.ReadOnly, Description = "multicasts received")]
    public partial uint MulticastsReceived { get; set; }

    [Register(0x0F40, Name = "VFGPRLBC", Count = 3, Access = RegisterAccess.ReadOnly, Description = "packets within the controller are not counted apart")]
    private partial Span<uint> Inside { get; }

    [Register(0x0F50, Name = "VFGOTLBC", Access = RegisterAccess.ReadOnly)]
    private partial uint OctetsInside { get; }

    [Register(0x1048, Name = "VTFRTIMER", Access = RegisterAccess.ReadOnly, BeforeRead = nameof(ReadTimer), Description = "microseconds, free running")]
    private partial uint FreeTimer { get; }

    [Register(0x1520, Name = "VTEICS", Access = RegisterAccess.WriteOnly, AfterWrite = nameof(Raise), Description = "raises vectors")]
    private partial uint CauseSet { get; }

    [Register(0x1524, Name = "VTEIMS", Access = RegisterAccess.WriteOneToSet, AfterWrite = nameof(Unmask), Description = "vectors that interrupt, 2:0; ones add")]
    private partial uint Mask { get; set; }

    [Register(0x1528, Name = "VTEIMC", Access = RegisterAccess.WriteOnly, AfterWrite = nameof(RemoveMask), Description = "ones remove vectors from VTEIMS")]
    private partial uint MaskClear { get; }

    [Register(0x152C, Name = "VTEIAC", Description = "vectors whose message clears them in VTEICR")]
    private partial uint AutoClear { get; }

    [Register(0x1530, Name = "VTEIAM", Description = "vectors that their message removes from VTEIMS")]
    private partial uint AutoMask { get; }

    [Register(0x1580, Name = "VTEICR", Access = RegisterAccess.WriteOneToClear, AfterRead = nameof(ClearCauses), Description = "vectors that are pending; a read clears")]
    private partial uint Cause { get; set; }

    [Register(0x1680, Name = "VTEITR", Count = 3, Description = "intervals are not modelled; reads what was written")]
    private partial Span<uint> Throttle { get; }

    [Register(0x1700, Name = "VTIVAR", Description = "7:0 receive 0, 15:8 transmit 0, 23:16 and 31:24 of queue 1; bit 7 valid, 1:0 vector")]
    private partial uint Vectors { get; }

    [Register(0x1740, Name = "VTIVAR_MISC", Description = "7:0 mailbox")]
    private partial uint OtherVector { get; }

    /// <summary>One of the two queues has received or transmitted.</summary>
    public void RaiseQueue(int queue, bool transmits) => RaiseEntry(Vectors >> ((16 * queue) + (transmits ? 8 : 0)));

    /// <summary>Mail has come.</summary>
    public void RaiseMail() => RaiseEntry(OtherVector);

    private uint WriteControl(uint value)
    {
        if ((value & (1U << 26)) != 0)
        {
            function.ResetQueues();
            Reset(ResetKind.DeviceReset);
        }

        return value & ~(1U << 26);
    }

    private uint ReadStatus() => function.Physical.ReadStatus();

    private uint ReadTimer() => function.Physical.Microseconds;

    private uint ReadMail(int index) => function.Mail[index];

    private uint WriteMail(int index, uint value)
    {
        function.Mail[index] = value;
        return 0;
    }

    private uint ReadMailbox() => function.Physical.Mailboxes.ReadVirtual(function.Pool);

    private uint WriteMailbox(uint value)
    {
        function.Physical.Mailboxes.WriteVirtual(function.Pool, value);
        return 0;
    }

    private void Raise(uint value)
    {
        Cause |= value & 7;
        Deliver(value & 7);
    }

    private void Unmask(uint value, uint old) => Deliver(value & ~old);

    private void RemoveMask(uint value) => Mask &= ~value;

    private void ClearCauses() => Cause = 0;

    private void RaiseEntry(uint entry)
    {
        if ((entry & 0x80) != 0 && (entry & 3) != 3)
        {
            Raise(1U << (int)(entry & 3));
        }
    }

    /// <summary>Tells vectors that are news, pending and not masked.</summary>
    private void Deliver(uint news)
    {
        for (int vector = 0; vector < IgbVirtualFunction.Vectors; vector++)
        {
            uint bit = 1U << vector;
            if ((news & Cause & Mask & bit) != 0)
            {
                Cause &= ~(bit & AutoClear);
                Mask &= ~(bit & AutoMask);
                function.Tell(vector);
            }
        }
    }
}
