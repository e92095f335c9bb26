using Vfio.Pci;

namespace Vfio.Devices.Ioat;

/// <summary>The registers of one channel.</summary>
/// <param name="channel">The channel.</param>
[RegisterFile("ioat channel", Size = 0x80)]
internal sealed partial class ChannelRegisters(IoatChannel channel)
{
    [Register(0x00, Name = "CHANCTRL", AfterWrite = nameof(Rearmed))]
    public partial ushort Control { get; }

    [Field(nameof(Control), 0, Name = "interrupt disable", Access = RegisterAccess.WriteOneToClear, Description = "the channel has interrupted, and does so again when a one was written")]
    public partial bool HasInterrupted { get; set; }

    [Field(nameof(Control), 2, Name = "error completion", Description = "an error writes the completion address")]
    public partial bool CompletesErrors { get; }

    [Field(nameof(Control), 3, Name = "any error abort", Description = "reads what was written: every error halts")]
    private partial bool AbortsOnErrors { get; }

    [Field(nameof(Control), 4, Name = "error interrupt", Description = "an error interrupts")]
    public partial bool InterruptsOnErrors { get; }

    [Field(nameof(Control), 9, 8, Name = "in use", Description = "reads what was written")]
    private partial byte InUse { get; }

    [Field(nameof(Control), 15, 12, Name = "priority", Description = "reads what was written")]
    private partial byte Priority { get; }

    [Register(0x02, Name = "DMA_COMP", Access = RegisterAccess.ReadOnly, Reset = 0x02, Description = "compatible with version 2 and above")]
    public partial ushort Compatibility { get; }

    [Register(0x04, Name = "CHANCMD", BeforeWrite = nameof(Command))]
    public partial byte Commands { get; set; }

    [Register(0x06, Name = "DMACOUNT", AfterWrite = nameof(Kick), Description = "descriptors that were made ready since the chain address was written, modulo 65536")]
    public partial ushort Count { get; set; }

    [Register(0x08, Name = "CHANSTS", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Access = RegisterAccess.ReadOnly)]
    public partial ulong Status { get; set; }

    [Field(nameof(Status), 2, 0, Name = "state", Reset = (ulong)ChannelState.Halted, Description = "0 active, 1 done, 2 suspended, 3 halted, 4 armed")]
    public partial ChannelState State { get; set; }

    [Field(nameof(Status), 63, 6, Name = "completed", Description = "the descriptor that was done last: its address without the lowest six bits")]
    public partial ulong Completed { get; set; }

    [Register(0x10, Name = "CHAINADDR", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, AfterWrite = nameof(StartChain), Description = "address of the first descriptor, a multiple of 64")]
    public partial ulong Chain { get; }

    [Register(0x18, Name = "CHANCMP", Widths = RegisterWidths.Dword, Narrow = NarrowAccess.Part, Description = "where completions are written: eight bytes as CHANSTS has them")]
    public partial ulong Completion { get; }

    [Register(0x28, Name = "CHANERR", Access = RegisterAccess.WriteOneToClear, Description = "why the channel halted: bit 2 next descriptor address, 4 chain address, 5 command, 8 read, 9 write, 10 control, 11 length, 12 completion address")]
    public partial uint Error { get; set; }

    [Register(0x2C, Name = "CHANERR_MASK", Description = "errors that do not interrupt")]
    public partial uint ErrorMask { get; }

    [Register(0x30, Name = "DCACTRL", Access = RegisterAccess.Unimplemented, Description = "direct cache access")]
    public partial uint CacheControl { get; }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind) => channel.OnReset();

    private void Rearmed() => channel.Rearm();

    private byte Command(byte value, byte old) => channel.Command((ChannelCommands)value, (ChannelCommands)old);

    private void Kick() => channel.Kick();

    private void StartChain() => channel.StartChain();
}
