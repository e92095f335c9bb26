using Vfio.Pci;

namespace Vfio.Devices.Ioat;

/// <summary>The registers of the whole engine, at the start of BAR 0.</summary>
/// <param name="device">The device.</param>
[RegisterFile("ioat", Size = 0x80)]
internal sealed partial class IoatRegisters(IoatDevice device)
{
    [Register(0x00, Name = "CHANCNT", Access = RegisterAccess.ReadOnly, BeforeRead = nameof(ReadChannels), Description = "number of channels")]
    public partial byte Channels { get; }

    [Register(0x01, Name = "XFERCAP", Access = RegisterAccess.ReadOnly, BeforeRead = nameof(ReadTransfer), Description = "the longest transfer of a descriptor, as a power of two")]
    public partial byte LongestTransfer { get; }

    [Register(0x02, Name = "GENCTRL", Access = RegisterAccess.Unimplemented, Description = "debugging and power management of the hardware")]
    public partial byte GeneralControl { get; }

    [Register(0x03, Name = "INTRCTRL", AfterRead = nameof(DisableMaster), AfterWrite = nameof(Changed))]
    public partial byte InterruptControl { get; }

    [Field(nameof(InterruptControl), 0, Name = "master enable", Description = "lets pin and MSI interrupt; a read clears it")]
    public partial bool MasterEnable { get; private set; }

    [Field(nameof(InterruptControl), 1, Name = "status", Access = RegisterAccess.ReadOnly, Description = "a channel interrupts")]
    public partial bool IsInterrupting { get; private set; }

    [Field(nameof(InterruptControl), 2, Name = "interrupt", Access = RegisterAccess.ReadOnly, Description = "the status, while enabled")]
    public partial bool IsAsserted { get; private set; }

    [Field(nameof(InterruptControl), 3, Name = "MSI-X control", Description = "reads what was written: a channel always has a vector of its own")]
    private partial bool MsixControl { get; }

    [Register(0x04, Name = "ATTNSTATUS", Access = RegisterAccess.ReadOnly, Description = "a bit for each channel that interrupts, until its interrupt is armed again")]
    public partial uint Attention { get; private set; }

    [Register(0x08, Name = "CBVER", Access = RegisterAccess.ReadOnly, Reset = 0x33, Description = "version 3.3")]
    public partial byte Version { get; }

    [Register(0x0A, Name = "PERPORTOFFSET", Access = RegisterAccess.ReadOnly, Description = "no registers for each port")]
    public partial ushort PerPortOffset { get; }

    [Register(0x0C, Name = "INTRDELAY", Description = "microseconds by which interrupts are delayed; the model does not delay them")]
    public partial ushort InterruptDelay { get; }

    [Register(0x0E, Name = "CS_STATUS", Access = RegisterAccess.ReadOnly, Description = "memory is bypassed by nobody")]
    public partial ushort ChipsetStatus { get; }

    [Register(0x10, Name = "DMACAPABILITY", Access = RegisterAccess.ReadOnly, Reset = 0x41, Description = "bit 0 page break, bit 6 block fill")]
    public partial uint Capability { get; }

    /// <summary>Shows which channels interrupt, and drives the pin or a message.</summary>
    public void Attend(int channel, bool interrupts)
    {
        uint bit = 1U << channel;
        Attention = interrupts ? Attention | bit : Attention & ~bit;
        Changed();
    }

    private byte ReadChannels() => (byte)device.Options.Channels;

    private byte ReadTransfer() => (byte)int.Log2(device.Options.LongestTransfer);

    private void DisableMaster()
    {
        MasterEnable = false;
        Changed();
    }

    private void Changed()
    {
        bool was = IsAsserted;
        IsInterrupting = Attention != 0;
        IsAsserted = IsInterrupting && MasterEnable;
        device.Drive(was, IsAsserted);
    }
}
