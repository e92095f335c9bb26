using Vfio.Pci;

namespace Vfio.Differential;

/// <summary>Edu's registers as far as they matter here, and one that signals a vector.</summary>
/// <param name="device">What they start and interrupt.</param>
[RegisterFile("model", Size = 0x100)]
internal sealed partial class ModelRegisters(ModelDevice device)
{
    [Register((long)Edu.Identification, Access = RegisterAccess.ReadOnly, Reset = 0x010000ED, Description = "version and kind")]
    public partial uint Identification { get; }

    [Register((long)Edu.Liveness, BeforeWrite = nameof(Invert), Description = "reads the inverse of what was written")]
    public partial uint Liveness { get; }

    [Register((long)Edu.InterruptStatus, Access = RegisterAccess.ReadOnly, Description = "causes")]
    public partial uint InterruptStatus { get; set; }

    [Register((long)Edu.Vector, Access = RegisterAccess.WriteOnly, AfterWrite = nameof(Signal), Description = "signals a message vector")]
    public partial uint Vector { get; }

    [Register((long)Edu.Raise, Access = RegisterAccess.WriteOnly, AfterWrite = nameof(Raise), Description = "sets causes and interrupts")]
    public partial uint InterruptRaise { get; }

    [Register((long)Edu.Acknowledge, Access = RegisterAccess.WriteOnly, AfterWrite = nameof(Acknowledge), Description = "clears causes")]
    public partial uint InterruptAcknowledge { get; }

    [Register((long)Edu.DmaSource, Name = "DMA source", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend, Description = "address to read from")]
    public partial ulong DmaSource { get; }

    [Register((long)Edu.DmaDestination, Name = "DMA destination", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend, Description = "address to write to")]
    public partial ulong DmaDestination { get; }

    [Register((long)Edu.DmaCount, Name = "DMA count", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend, Description = "bytes to transfer")]
    public partial ulong DmaCount { get; }

    [Register((long)Edu.DmaCommand, Name = "DMA command", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend, BeforeWrite = nameof(KeepWhileBusy), AfterWrite = nameof(StartDma))]
    public partial ulong DmaCommand { get; }

    [Field(nameof(DmaCommand), 0, Name = "start", Description = "starts a transfer, reads 1 while busy")]
    public partial bool IsTransferring { get; set; }

    [Field(nameof(DmaCommand), 1, Name = "to memory", Description = "0 memory to buffer, 1 buffer to memory")]
    public partial bool IsToMemory { get; }

    [Field(nameof(DmaCommand), 63, 2, Name = "unused", Description = "reads what was written")]
    private partial ulong UnusedCommand { get; }

    private static uint Invert(uint value) => ~value;

    private void Signal(uint vector) => device.Interrupts.Signal((int)(vector % ModelDevice.Vectors));

    private void Raise(uint causes)
    {
        InterruptStatus |= causes;
        if (device.Interrupts.UsesMessages)
        {
            device.Interrupts.Signal(0);
        }
        else
        {
            device.Interrupts.SetIntx(InterruptStatus != 0);
        }
    }

    private void Acknowledge(uint causes)
    {
        InterruptStatus &= ~causes;
        if (InterruptStatus == 0)
        {
            device.Interrupts.SetIntx(false);
        }
    }

    private ulong KeepWhileBusy(ulong value, ulong old) => IsTransferring ? old : value;

    private void StartDma(ulong value, ulong old)
    {
        if (IsTransferring && (old & 1) == 0)
        {
            device.StartDma();
        }
    }
}
