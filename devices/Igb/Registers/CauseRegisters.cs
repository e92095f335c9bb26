using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>Interrupts: 0x1500 to 0x17FF of BAR 0. Holds what is pending and masked; <see cref="IgbInterrupts"/> tells the user.</summary>
/// <param name="device">The device.</param>
[RegisterFile("igb interrupts", Size = 0x300)]
internal sealed partial class CauseRegisters(IgbDevice device)
{
    /// <summary>ICR, IMS: an interrupt of the causes is asserted.</summary>
    private const uint Asserted = 1U << 31;

    [Register(0x00, Name = "ICR", BeforeRead = nameof(ReadCause), BeforeWrite = nameof(WriteCause), Description = "causes: bit 0 transmitted, 2 link changed, 4 few descriptors, 6 overrun, 7 received, 8 mailbox, 31 asserted; a read clears them while asserted, with no mask, or with GPIE.NSICR")]
    public partial uint Cause { get; set; }

    [Register(0x04, Name = "ICS", Access = RegisterAccess.WriteOnly, AfterWrite = nameof(Raise), Description = "raises causes")]
    private partial uint CauseSet { get; }

    [Register(0x08, Name = "IMS", BeforeWrite = nameof(WriteMask), AfterWrite = nameof(Deliver), Description = "causes that interrupt; ones add")]
    public partial uint Mask { get; private set; }

    [Register(0x0C, Name = "IMC", Access = RegisterAccess.WriteOnly, AfterWrite = nameof(RemoveMask), Description = "ones remove causes from IMS")]
    private partial uint MaskClear { get; }

    [Register(0x10, Name = "IAM", Description = "what a read of ICR removes from IMS")]
    public partial uint AutoMask { get; set; }

    [Register(0x14, Name = "GPIE", AfterWrite = nameof(Deliver))]
    private partial uint General { get; }

    [Field(nameof(General), 0, Name = "NSICR", Description = "each read of ICR clears it")]
    private partial bool ClearsAlways { get; }

    [Field(nameof(General), 4, Name = "multiple MSI-X", Description = "IVAR chooses vectors")]
    public partial bool UsesVectors { get; }

    [Field(nameof(General), 11, 7, Name = "LLI interval", Description = "reads what was written")]
    private partial byte LowLatencyInterval { get; }

    [Field(nameof(General), 30, Name = "EIAME", Description = "a message removes EIAM from EIMS")]
    public partial bool AutoMasks { get; }

    [Field(nameof(General), 31, Name = "PBA", Description = "reads what was written")]
    private partial bool PendingSupport { get; }

    [Register(0x20, Name = "EICS", Access = RegisterAccess.WriteOnly, AfterWrite = nameof(RaiseExtended), Description = "raises vectors")]
    private partial uint ExtendedSet { get; }

    [Register(0x24, Name = "EIMS", Access = RegisterAccess.WriteOneToSet, BeforeWrite = nameof(WriteExtendedMask), AfterWrite = nameof(Deliver), Description = "vectors that interrupt; ones add")]
    public partial uint ExtendedMask { get; set; }

    [Register(0x28, Name = "EIMC", Access = RegisterAccess.WriteOnly, AfterWrite = nameof(RemoveExtendedMask), Description = "ones remove vectors from EIMS")]
    private partial uint ExtendedMaskClear { get; }

    [Register(0x2C, Name = "EIAC", Description = "vectors whose message clears them in EICR")]
    public partial uint AutoClear { get; set; }

    [Register(0x30, Name = "EIAM", Description = "vectors that their message removes from EIMS")]
    public partial uint ExtendedAutoMask { get; set; }

    [Register(0x80, Name = "EICR", BeforeRead = nameof(ReadExtended), BeforeWrite = nameof(WriteExtended), Description = "vectors that are pending, 24:0; a read clears, ones clear")]
    public partial uint Extended { get; set; }

    [Register(0x100, Name = "MSIXBM", Count = 8, Description = "of the 82575; reads what was written")]
    private partial Span<uint> Bitmap { get; }

    [Register(0x180, Name = "EITR", Count = 25, BeforeWrite = nameof(WriteThrottle), Description = "of each vector: 14:2 least microseconds between two interrupts, when the option throttles")]
    public partial Span<uint> Throttle { get; }

    [Register(0x200, Name = "IVAR", Count = 8, Description = "for queues n and n + 8: 7:0 receive n, 15:8 transmit n, 23:16 and 31:24 of n + 8; bit 7 valid, 4:0 vector")]
    public partial Span<uint> Vectors { get; }

    [Register(0x240, Name = "IVAR_MISC", Description = "7:0 TCP timer, 15:8 other causes")]
    public partial uint OtherVector { get; }

    /// <summary>Software reads ICR.</summary>
    public uint ReadCause()
    {
        uint value = Cause;
        if (ClearsAlways || Mask == 0 || (value & Asserted) != 0)
        {
            Cause = 0;
            Mask &= ~AutoMask;
            device.Alarms.Update();
        }

        return value;
    }

    /// <summary>Software writes ones to ICR.</summary>
    public void ClearCause(uint value) => _ = WriteBack(value);

    /// <summary>Raises causes.</summary>
    public void Raise(uint value)
    {
        Cause |= value & ~Asserted;
        if ((Cause & Mask) == 0)
        {
            return;
        }

        Cause |= Asserted;
        device.Alarms.RaiseOther((value & Mask) != 0);
    }

    /// <summary>Adds causes to those that interrupt.</summary>
    public void AddMask(uint value)
    {
        Mask |= value & ~Asserted;
        Deliver();
    }

    /// <summary>Removes causes from those that interrupt.</summary>
    public void RemoveMask(uint value)
    {
        Mask &= ~value;
        device.Alarms.Update();
    }

    /// <summary>Raises vectors.</summary>
    public void RaiseExtended(uint value)
    {
        device.Alarms.Raise(value);
        device.Alarms.DeliverVectors();
    }

    private uint WriteCause(uint value) => WriteBack(value);

    private uint WriteBack(uint value)
    {
        Cause &= ~value;
        if ((Cause & Mask) == 0)
        {
            Cause &= ~Asserted;
        }

        device.Alarms.Update();
        return Cause;
    }

    private uint WriteMask(uint value, uint old) => old | (value & ~Asserted);

    private uint WriteExtendedMask(uint value, uint old)
    {
        device.Alarms.Unmask(value & ~old);
        return value;
    }

    private void RemoveExtendedMask(uint value)
    {
        ExtendedMask &= ~value;
        device.Alarms.Update();
    }

    private uint ReadExtended()
    {
        uint value = Extended;
        Extended = 0;
        device.Alarms.Update();
        return value;
    }

    private uint WriteExtended(uint value)
    {
        Extended &= ~value;
        device.Alarms.Update();
        return Extended;
    }

    private static uint WriteThrottle(int index, uint value) => value & 0x7FFF_FFFF;

    private void Deliver()
    {
        if ((Cause & Mask) != 0)
        {
            Cause |= Asserted;
            device.Alarms.RaiseOther(isNew: true);
        }

        device.Alarms.DeliverVectors();
    }
}
