using Vfio.Pci;

namespace Vfio.Devices.Edu;

/// <summary>The registers at the start of BAR 0. Those of the DMA engine can also be written by their lower half alone, which clears the upper one.</summary>
/// <param name="device">What they start and interrupt.</param>
[RegisterFile("edu", Size = 0x100)]
internal sealed partial class EduRegisters(EduDevice device)
{
    [Register(0x00, Access = RegisterAccess.ReadOnly, Reset = 0x010000ED, Description = "0xRRrr00ED: major and minor version of the device")]
    public partial uint Identification { get; }

    [Register(0x04, BeforeWrite = nameof(Invert), Description = "reads the inverse of what was written")]
    public partial uint Liveness { get; }

    [Register(0x08, BeforeWrite = nameof(StartFactorial), Description = "write n, read n! (modulo 2³²) when status bit 0 is clear")]
    public partial uint Factorial { get; set; }

    [Register(0x20)]
    public partial uint Status { get; }

    [Field(nameof(Status), 0, Name = "computing", Access = RegisterAccess.ReadOnly, Description = "a factorial is being computed")]
    public partial bool IsComputing { get; set; }

    [Field(nameof(Status), 7, Name = "raise", Description = "interrupt when the factorial is done")]
    public partial bool RaisesWhenComputed { get; }

    [Register(0x24, Access = RegisterAccess.ReadOnly, Description = "causes: bit 0 factorial, bit 8 DMA, others as raised")]
    public partial uint InterruptStatus { get; set; }

    [Register(0x60, Access = RegisterAccess.WriteOnly, AfterWrite = nameof(Raise), Description = "sets bits in the interrupt status and interrupts")]
    public partial uint InterruptRaise { get; }

    [Register(0x64, Access = RegisterAccess.WriteOnly, AfterWrite = nameof(Acknowledge), Description = "clears bits in the interrupt status")]
    public partial uint InterruptAcknowledge { get; }

    [Register(0x80, Name = "DMA source", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend, BeforeWrite = nameof(KeepWhileBusy), Description = "address to read from")]
    public partial ulong DmaSource { get; }

    [Register(0x88, Name = "DMA destination", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend, BeforeWrite = nameof(KeepWhileBusy), Description = "address to write to")]
    public partial ulong DmaDestination { get; }

    [Register(0x90, Name = "DMA count", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend, BeforeWrite = nameof(KeepWhileBusy), Description = "bytes to transfer")]
    public partial ulong DmaCount { get; }

    [Register(0x98, Name = "DMA command", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.ZeroExtend, BeforeWrite = nameof(KeepWhileBusy), AfterWrite = nameof(StartDma))]
    public partial ulong DmaCommand { get; }

    [Field(nameof(DmaCommand), 0, Name = "start", Description = "starts a transfer, reads 1 while busy")]
    public partial bool IsTransferring { get; set; }

    [Field(nameof(DmaCommand), 1, Name = "to memory", Description = "0 memory to buffer, 1 buffer to memory")]
    public partial bool IsToMemory { get; }

    [Field(nameof(DmaCommand), 2, Name = "raise", Description = "interrupt when done")]
    public partial bool RaisesWhenTransferred { get; }

    [Field(nameof(DmaCommand), 63, 3, Name = "unused", Description = "reads what was written")]
    private partial ulong UnusedCommand { get; }

    /// <summary>Sets causes, and interrupts when there are any.</summary>
    public void Raise(uint causes)
    {
        InterruptStatus |= causes;
        if (InterruptStatus == 0)
        {
            return;
        }

        if (device.Interrupts.UsesMessages)
        {
            device.Interrupts.Signal(0);
        }
        else
        {
            device.Interrupts.SetIntx(true);
        }
    }

    private static uint Invert(uint value) => ~value;

    private void Acknowledge(uint causes)
    {
        InterruptStatus &= ~causes;
        if (InterruptStatus == 0)
        {
            device.Interrupts.SetIntx(false);
        }
    }

    private uint StartFactorial(uint value, uint old)
    {
        // As the original: a value written while computing is dropped.
        if (IsComputing)
        {
            return old;
        }

        IsComputing = true;
        device.StartFactorial();
        return value;
    }

    /// <summary>Registers cannot be changed under a running transfer.</summary>
    private ulong KeepWhileBusy(ulong value, ulong old) => IsTransferring ? old : value;

    private void StartDma(ulong value, ulong old)
    {
        if (IsTransferring && (old & 1) == 0)
        {
            device.StartDma();
        }
    }
}
