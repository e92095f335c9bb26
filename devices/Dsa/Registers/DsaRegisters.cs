using Vfio.Pci;

namespace Vfio.Devices.Dsa;

/// <summary>The registers and the tables of configuration, at the start of BAR 0 (DSA 1.0 §9.2).</summary>
/// <param name="device">The device.</param>
[RegisterFile("dsa", Size = 0x700)]
internal sealed partial class DsaRegisters(DsaDevice device)
{
    public const uint CauseError = 1;
    public const uint CauseCommand = 2;
    private const ulong GeneralCapabilities = 0x12;
    private const int TransferShiftBit = 16;
    private const int BatchShiftBit = 21;
    private const ulong Configurable = 1ul << 31;
    private const ulong QueueCapabilities = DsaLimits.TotalQueueSize | ((ulong)DsaLimits.Queues << 16) | (1ul << 49) | (1ul << 51);
    private const int Queues = DsaLimits.Queues;
    private const int Groups = DsaLimits.Groups;

    [Register(0x00, Name = "VERSION", Access = RegisterAccess.ReadOnly, Reset = 0x100, Description = "1.0")]
    public partial uint Version { get; }

    [Register(0x10, Name = "GENCAP", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly, BeforeRead = nameof(ReadGeneral), Description = "overlapping copies, command capabilities, longest transfer and batch as powers of two, configurable")]
    public partial ulong General { get; }

    [Register(0x20, Name = "WQCAP", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly, Reset = QueueCapabilities, Description = "128 descriptors in 8 work queues, dedicated ones, with priorities")]
    public partial ulong QueueCapability { get; }

    [Register(0x30, Name = "GRPCAP", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly, Reset = Groups, Description = "4 groups, read buffers not controlled")]
    public partial ulong GroupCapability { get; }

    [Register(0x38, Name = "ENGCAP", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly, Reset = DsaLimits.Engines, Description = "4 engines")]
    public partial ulong EngineCapability { get; }

    [Register(0x40, Name = "OPCAP", Count = 4, Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly, BeforeRead = nameof(ReadOperations), Description = "a bit for each operation")]
    public partial Span<ulong> Operations { get; }

    [Register(0x60, Name = "OFFSETS", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly, Reset = 0x0000_0006_0005_0004, Description = "of the group, work queue and MSI-X permission tables, in units of 256 bytes")]
    public partial ulong TableOffsets { get; }

    [Register(0x68, Name = "OFFSETS2", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly, Description = "no counters")]
    public partial ulong MoreTableOffsets { get; }

    [Register(0x80, Name = "GENCFG", Description = "reads what was written")]
    public partial uint Configuration { get; set; }

    [Register(0x88, Name = "GENCTRL")]
    public partial uint Control { get; set; }

    [Field(nameof(Control), 0, Name = "software error interrupt", Description = "an error in SWERR interrupts by vector 0")]
    public partial bool InterruptsOnErrors { get; set; }

    [Field(nameof(Control), 1, Name = "halt interrupt", Description = "reads what was written: the model never halts")]
    public partial bool InterruptsOnHalt { get; set; }

    [Register(0x90, Name = "GENSTS", Access = RegisterAccess.ReadOnly)]
    public partial uint Status { get; set; }

    [Field(nameof(Status), 1, 0, Name = "state")]
    public partial DsaState State { get; set; }

    [Field(nameof(Status), 3, 2, Name = "reset", Description = "the last one: 0 by command, 1 of the function, 3 cold")]
    public partial byte LastReset { get; set; }

    [Register(0x98, Name = "INTCAUSE", Access = RegisterAccess.WriteOneToClear, Description = "why vector 0 interrupted: bit 0 software error, 1 command")]
    public partial uint Cause { get; set; }

    [Register(0xA0, Name = "CMD", AfterWrite = nameof(BeginCommand))]
    public partial uint CommandWord { get; set; }

    [Field(nameof(CommandWord), 19, 0, Name = "operand", Description = "a work queue to enable; otherwise a bit for each of sixteen, and which sixteen above")]
    public partial uint Operand { get; }

    [Field(nameof(CommandWord), 24, 20, Name = "command")]
    public partial DsaCommand Command { get; }

    [Field(nameof(CommandWord), 31, Name = "interrupt", Description = "the command's end interrupts by vector 0")]
    public partial bool CommandInterrupts { get; }

    [Register(0xA8, Name = "CMDSTS", Access = RegisterAccess.ReadOnly)]
    public partial uint CommandStatus { get; set; }

    [Field(nameof(CommandStatus), 7, 0, Name = "error")]
    public partial CommandStatus CommandError { get; set; }

    [Field(nameof(CommandStatus), 31, Name = "active", Description = "the command waits for descriptors under way")]
    public partial bool CommandIsActive { get; set; }

    [Register(0xB0, Name = "CMDCAP", Access = RegisterAccess.ReadOnly, Reset = 0x1FFE, Description = "a bit for each command: interrupt handles need no request, they are numbers of vectors")]
    public partial uint CommandCapability { get; }

    [Register(0xC0, Name = "SWERR", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly)]
    public partial ulong Error { get; set; }

    [Field(nameof(Error), 0, Name = "valid", Access = RegisterAccess.WriteOneToClear, Description = "an error that no completion record told")]
    public partial bool HasError { get; set; }

    [Field(nameof(Error), 1, Name = "overflow", Access = RegisterAccess.WriteOneToClear, Description = "more came before it was taken")]
    public partial bool HasMoreErrors { get; set; }

    [Field(nameof(Error), 2, Name = "descriptor valid", Description = "operation and what follows are those of a descriptor")]
    public partial bool ErrorHasDescriptor { get; set; }

    [Field(nameof(Error), 3, Name = "queue valid")]
    public partial bool ErrorHasQueue { get; set; }

    [Field(nameof(Error), 4, Name = "batch", Description = "the descriptor was in a batch")]
    public partial bool ErrorIsInBatch { get; set; }

    [Field(nameof(Error), 5, Name = "write", Description = "the access that failed was a write")]
    public partial bool ErrorWasWrite { get; set; }

    [Field(nameof(Error), 15, 8, Name = "error", Description = "as in completion records; 0x51 work queue not enabled, 0x52 work queue full")]
    public partial byte ErrorCode { get; set; }

    [Field(nameof(Error), 23, 16, Name = "queue")]
    public partial byte ErrorQueue { get; set; }

    [Field(nameof(Error), 39, 32, Name = "operation")]
    public partial byte ErrorOperation { get; set; }

    [Register(0xC8, Name = "SWERR1", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly)]
    public partial ulong ErrorPlace { get; set; }

    [Field(nameof(ErrorPlace), 15, 0, Name = "batch index")]
    public partial ushort ErrorBatchIndex { get; set; }

    [Field(nameof(ErrorPlace), 63, 32, Name = "invalid flags")]
    public partial uint ErrorFlags { get; set; }

    [Register(0xD0, Name = "SWERR2", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly, Description = "address of the access that failed")]
    public partial ulong ErrorAddress { get; set; }

    [Register(0xD8, Name = "SWERR3", Widths = RegisterWidths.Dword, Access = RegisterAccess.ReadOnly)]
    public partial ulong ErrorReserved { get; }

    [Register(0x400, Name = "GRPWQCFG0", Count = Groups, Stride = 0x40, Widths = RegisterWidths.Dword, BeforeWrite = nameof(WriteGroup))]
    public partial Span<ulong> GroupQueueWord { get; }

    [Field(nameof(GroupQueueWord), 7, 0, Name = "queues", Description = "a bit for each work queue of the group; written while the device is disabled")]
    public partial FieldArray<ulong> GroupQueues { get; }

    [Register(0x408, Name = "GRPWQCFG1", Count = Groups, Stride = 0x40, Widths = RegisterWidths.Dword, Access = RegisterAccess.Unimplemented, Description = "work queues that are not there")]
    public partial Span<ulong> GroupQueues64 { get; }

    [Register(0x410, Name = "GRPWQCFG2", Count = Groups, Stride = 0x40, Widths = RegisterWidths.Dword, Access = RegisterAccess.Unimplemented, Description = "the same")]
    public partial Span<ulong> GroupQueues128 { get; }

    [Register(0x418, Name = "GRPWQCFG3", Count = Groups, Stride = 0x40, Widths = RegisterWidths.Dword, Access = RegisterAccess.Unimplemented, Description = "the same")]
    public partial Span<ulong> GroupQueues192 { get; }

    [Register(0x420, Name = "GRPENGCFG", Count = Groups, Stride = 0x40, Widths = RegisterWidths.Dword, BeforeWrite = nameof(WriteGroup))]
    public partial Span<ulong> GroupEngineWord { get; }

    [Field(nameof(GroupEngineWord), 3, 0, Name = "engines", Description = "a bit for each engine of the group")]
    public partial FieldArray<ulong> GroupEngines { get; }

    [Register(0x428, Name = "GRPFLAGS", Count = Groups, Stride = 0x40, Widths = RegisterWidths.Dword, BeforeWrite = nameof(WriteGroup), Description = "traffic classes and read buffers: reads what was written")]
    public partial Span<ulong> GroupFlags { get; }

    [Register(0x500, Name = "WQSIZE", Count = Queues, Stride = 0x20, BeforeWrite = nameof(WriteSize))]
    public partial Span<uint> QueueSizeWord { get; }

    [Field(nameof(QueueSizeWord), 15, 0, Name = "size", Description = "descriptors that it holds; written while the device is disabled, and the rest of the table while the work queue is")]
    public partial FieldArray<uint> QueueSize { get; }

    [Register(0x504, Name = "WQTHRESHOLD", Count = Queues, Stride = 0x20, BeforeWrite = nameof(WriteQueue), Description = "of shared ones; reads what was written")]
    public partial Span<uint> QueueThreshold { get; }

    [Register(0x508, Name = "WQMODE", Count = Queues, Stride = 0x20, BeforeWrite = nameof(WriteQueue))]
    public partial Span<uint> QueueModeWord { get; }

    [Field(nameof(QueueModeWord), 0, Name = "dedicated")]
    public partial FieldArray<uint> QueueIsDedicated { get; }

    [Field(nameof(QueueModeWord), 1, Name = "block on fault", Description = "not offered")]
    public partial FieldArray<uint> QueueBlocksOnFault { get; }

    [Field(nameof(QueueModeWord), 3, 2, Name = "translation", Description = "reads what was written")]
    public partial FieldArray<uint> QueueTranslation { get; }

    [Field(nameof(QueueModeWord), 7, 4, Name = "priority", Description = "1 to 15; the model serves work queues at once, not in turn")]
    public partial FieldArray<uint> QueuePriority { get; }

    [Field(nameof(QueueModeWord), 27, 8, Name = "PASID")]
    public partial FieldArray<uint> QueuePasid { get; }

    [Field(nameof(QueueModeWord), 28, Name = "PASID enable", Description = "not offered")]
    public partial FieldArray<uint> QueueHasPasid { get; }

    [Field(nameof(QueueModeWord), 29, Name = "privileged")]
    public partial FieldArray<uint> QueueIsPrivileged { get; }

    [Register(0x50C, Name = "WQLIMITS", Count = Queues, Stride = 0x20, BeforeWrite = nameof(WriteQueue))]
    public partial Span<uint> QueueLimitWord { get; }

    [Field(nameof(QueueLimitWord), 4, 0, Name = "transfer", Description = "the longest, as a power of two")]
    public partial FieldArray<uint> QueueTransferShift { get; }

    [Field(nameof(QueueLimitWord), 8, 5, Name = "batch", Description = "the longest, as a power of two")]
    public partial FieldArray<uint> QueueBatchShift { get; }

    [Field(nameof(QueueLimitWord), 12, 9, Name = "list", Description = "reads what was written")]
    public partial FieldArray<uint> QueueListShift { get; }

    [Register(0x510, Name = "WQOCCUPANCYHANDLE", Count = Queues, Stride = 0x20, BeforeWrite = nameof(WriteQueue), Description = "reads what was written")]
    public partial Span<uint> QueueOccupancyHandle { get; }

    [Register(0x514, Name = "WQOCCUPANCYLIMIT", Count = Queues, Stride = 0x20, BeforeWrite = nameof(WriteQueue), Description = "reads what was written")]
    public partial Span<uint> QueueOccupancyLimit { get; }

    [Register(0x518, Name = "WQSTATE", Count = Queues, Stride = 0x20, BeforeWrite = nameof(KeepState))]
    public partial Span<uint> QueueStates { get; }

    [Field(nameof(QueueStates), 31, 30, Name = "state", Description = "0 disabled, 1 enabled")]
    public partial FieldArray<uint> QueueState { get; }

    [Register(0x51C, Name = "WQRESERVED", Count = Queues, Stride = 0x20, Access = RegisterAccess.Unimplemented)]
    public partial Span<uint> QueueReserved { get; }

    [Register(0x600, Name = "MSIXPERM", Count = DsaLimits.Vectors, Stride = 8, Description = "of each vector: bit 3 PASID enable, 31:12 PASID; reads what was written")]
    public partial Span<uint> VectorPermissions { get; }

    /// <summary>Everything that commands and tables set, but not the command's own status.</summary>
    public void ResetConfiguration()
    {
        Configuration = 0;
        Control = 0;
        Cause = 0;
        Error = 0;
        ErrorPlace = 0;
        ErrorAddress = 0;
        GroupQueueWord.Clear();
        GroupEngineWord.Clear();
        GroupFlags.Clear();
        VectorPermissions.Clear();
        for (int queue = 0; queue < Queues; queue++)
        {
            ResetQueue(queue);
        }

        QueueSizeWord.Clear();
        Status = 0;
    }

    public void SetQueueState(int queue, bool isEnabled)
    {
        FieldArray<uint> states = QueueState;
        states[queue] = isEnabled ? 1u : 0;
    }

    /// <summary>Everything of a work queue but its size, which belongs to the device.</summary>
    public void ResetQueue(int queue)
    {
        QueueThreshold[queue] = 0;
        QueueModeWord[queue] = 0;
        QueueLimitWord[queue] = 0;
        QueueOccupancyHandle[queue] = 0;
        QueueOccupancyLimit[queue] = 0;
        QueueStates[queue] = 0;
    }

    /// <summary>Tells an error that no completion record could.</summary>
    /// <param name="error">The error.</param>
    /// <param name="queue">Its work queue.</param>
    /// <returns>Whether it is the first, which the others wait behind.</returns>
    public bool Tell(in SoftwareError error, int queue)
    {
        if (HasError)
        {
            HasMoreErrors = true;
            return false;
        }

        Error = 0;
        HasError = true;
        ErrorHasDescriptor = error.Error < CompletionStatus.QueueDisabled;
        ErrorHasQueue = true;
        ErrorIsInBatch = ErrorHasDescriptor && error.BatchIndex >= 0;
        ErrorWasWrite = error.FaultWasWrite;
        ErrorCode = (byte)error.Error;
        ErrorQueue = (byte)queue;
        ErrorOperation = (byte)error.Opcode;
        ErrorPlace = 0;
        ErrorBatchIndex = ErrorIsInBatch ? (ushort)error.BatchIndex : (ushort)0;
        ErrorFlags = error.InvalidFlags;
        ErrorAddress = error.FaultAddress;
        Cause |= CauseError;
        return true;
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        const byte Function = 1;
        const byte Cold = 3;
        LastReset = kind == ResetKind.PowerOn ? Cold : Function;
    }

    private ulong ReadGeneral()
        => GeneralCapabilities | ((ulong)device.TransferShift << TransferShiftBit) | ((ulong)DsaLimits.BatchShift << BatchShiftBit) | Configurable;

    private static ulong ReadOperations(int index)
        => index == 0 ? 0x3FF | (1ul << (int)DsaOpcode.CrcGeneration) | (1ul << (int)DsaOpcode.CopyWithCrc) | (1ul << (int)DsaOpcode.CacheFlush) : 0;

    private void BeginCommand() => device.Commands.Begin(Command, Operand, CommandInterrupts);

    private ulong WriteGroup(int index, ulong value, ulong old) => State == DsaState.Disabled ? value : old;

    private uint WriteSize(int index, uint value, uint old) => State == DsaState.Disabled ? value : old;

    private uint WriteQueue(int index, uint value, uint old) => QueueState[index] == 0 ? value : old;

    private static uint KeepState(int index, uint value, uint old) => old;
}
