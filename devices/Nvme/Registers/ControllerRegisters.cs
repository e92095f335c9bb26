using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>The controller properties at the start of BAR 0, before the doorbells (NVMe Base 2.0 §3.1.3).</summary>
/// <param name="controller">What they control.</param>
/// <param name="queueEntries">The longest queue.</param>
[RegisterFile("nvme", Size = Length)]
[ReservedRegisters(0x18, 4)]
[ReservedRegisters(0x20, 4, name: "NSSR (not supported)")]
[ReservedRegisters(0x38, 0x30, name: "CMB, boot partition (not supported)")]
[ReservedRegisters(0x6C, Length - 0x6C)]
internal sealed partial class ControllerRegisters(NvmeController controller, int queueEntries)
{
    /// <summary>Bytes before the doorbells.</summary>
    public const int Length = 0x1000;

    [Register(0x00, Name = "CAP", Access = RegisterAccess.ReadOnly, Widths = RegisterWidths.Dword, BeforeRead = nameof(ReadCapabilities), Description = "capabilities")]
    private partial ulong Capabilities { get; }

    [Field(nameof(Capabilities), 15, 0, Name = "MQES", Description = "entries of the longest queue, less one")]
    private partial ushort MaxQueueEntries { get; }

    [Field(nameof(Capabilities), 16, Name = "CQR", Reset = 1, Description = "queues are contiguous")]
    private partial bool AreQueuesContiguous { get; }

    [Field(nameof(Capabilities), 31, 24, Name = "TO", Reset = ControllerCapabilities.Timeout, Description = "how long RDY may take, in units of 500 ms")]
    private partial byte Timeout { get; }

    [Field(nameof(Capabilities), 44, 37, Name = "CSS", Reset = 1, Description = "the NVM command set; with zoned namespaces also bit 6, that CC.CSS can choose all")]
    private partial byte CommandSets { get; }

    [Field(nameof(Capabilities), 51, 48, Name = "MPSMIN", Reset = ControllerCapabilities.MinPageShift - 12, Description = "pages of 4 KiB")]
    private partial byte MinPageSize { get; }

    [Field(nameof(Capabilities), 55, 52, Name = "MPSMAX", Reset = ControllerCapabilities.MaxPageShift - 12, Description = "to 64 KiB")]
    private partial byte MaxPageSize { get; }

    [Field(nameof(Capabilities), 59, Name = "CRWMS", Reset = 1, Description = "ready with media")]
    private partial bool IsReadyWithMedia { get; }

    [Register(0x08, Name = "VS", Access = RegisterAccess.ReadOnly, Reset = ControllerCapabilities.Version, Description = "version 2.0")]
    private partial uint Version { get; }

    [Register(0x0C, Name = "INTMS", Access = RegisterAccess.WriteOneToSet, AfterWrite = nameof(UpdatePin), Description = "written ones mask vectors of pin and MSI; reads the mask")]
    public partial uint InterruptMask { get; private set; }

    [Register(0x10, Name = "INTMC", BeforeRead = nameof(ReadInterruptMask), BeforeWrite = nameof(ClearInterruptMask), Description = "written ones unmask; reads the mask")]
    private partial uint InterruptMaskClear { get; }

    [Register(0x14, Name = "CC", AfterWrite = nameof(Configure), Description = "configuration")]
    public partial uint Configuration { get; }

    [Field(nameof(Configuration), 0, Name = "EN", Description = "enable")]
    public partial bool IsEnabled { get; }

    [Field(nameof(Configuration), 6, 4, Name = "CSS", Description = "command sets: 0 for NVM, 6 for all where CAP.CSS has them")]
    public partial byte CommandSet { get; }

    [Field(nameof(Configuration), 10, 7, Name = "MPS", Description = "logarithm of the host's page size, less 12")]
    private partial byte PageSize { get; }

    [Field(nameof(Configuration), 13, 11, Name = "AMS", Description = "arbitration, 0 for round robin")]
    public partial byte Arbitration { get; }

    [Field(nameof(Configuration), 15, 14, Name = "SHN", Description = "shutdown notification")]
    public partial ShutdownNotification ShutdownNotification { get; }

    [Field(nameof(Configuration), 19, 16, Name = "IOSQES", Description = "logarithm of the bytes of a submission entry")]
    public partial byte SubmissionEntryShift { get; }

    [Field(nameof(Configuration), 23, 20, Name = "IOCQES", Description = "logarithm of the bytes of a completion entry")]
    public partial byte CompletionEntryShift { get; }

    [Register(0x1C, Name = "CSTS", Access = RegisterAccess.ReadOnly, Description = "status")]
    private partial uint Status { get; set; }

    [Field(nameof(Status), 0, Name = "RDY", Description = "ready")]
    public partial bool IsReady { get; set; }

    [Field(nameof(Status), 1, Name = "CFS", Description = "the controller cannot go on")]
    public partial bool IsFatal { get; set; }

    [Field(nameof(Status), 3, 2, Name = "SHST", Description = "shutdown status")]
    public partial ShutdownStatus Shutdown { get; set; }

    [Register(0x24, Name = "AQA", Description = "entries of the admin queues, less one")]
    private partial uint AdminQueues { get; }

    [Field(nameof(AdminQueues), 11, 0, Name = "ASQS")]
    private partial ushort AdminSubmissions { get; }

    [Field(nameof(AdminQueues), 27, 16, Name = "ACQS")]
    private partial ushort AdminCompletions { get; }

    [Register(0x28, Name = "ASQ", Widths = RegisterWidths.Dword, Description = "address of the admin submission queue")]
    public partial ulong AdminSubmissionAddress { get; }

    [Field(nameof(AdminSubmissionAddress), 63, 12, Name = "ASQB", Description = "in pages")]
    private partial ulong AdminSubmissionPage { get; }

    [Register(0x30, Name = "ACQ", Widths = RegisterWidths.Dword, Description = "address of the admin completion queue")]
    public partial ulong AdminCompletionAddress { get; }

    [Field(nameof(AdminCompletionAddress), 63, 12, Name = "ACQB", Description = "in pages")]
    private partial ulong AdminCompletionPage { get; }

    [Register(0x68, Name = "CRTO", Access = RegisterAccess.ReadOnly, Description = "ready time-outs")]
    private partial uint ReadyTimeouts { get; }

    [Field(nameof(ReadyTimeouts), 15, 0, Name = "CRWMT", Reset = ControllerCapabilities.Timeout, Description = "with media, in units of 500 ms")]
    private partial ushort ReadyWithMediaTimeout { get; }

    /// <summary>Logarithm of the host's page size.</summary>
    public int PageShift => 12 + PageSize;

    /// <summary>Entries of the admin submission queue.</summary>
    public uint AdminSubmissionEntries => AdminSubmissions + 1U;

    /// <summary>Entries of the admin completion queue.</summary>
    public uint AdminCompletionEntries => AdminCompletions + 1U;

    /// <summary>Whether doorbells count.</summary>
    public bool TakesDoorbells => IsReady && !IsFatal && IsEnabled && Shutdown == ShutdownStatus.None;

    /// <summary>The controller was disabled: CSTS is what it was at first.</summary>
    public void ClearStatus() => Status = 0;

    private ulong ReadCapabilities(ulong constant) => constant | (uint)(queueEntries - 1) | (controller.HasZones ? 1UL << (37 + IoCommandSet.AllSelected) : 0);

    private uint ReadInterruptMask() => InterruptMask;

    private uint ClearInterruptMask(uint vectors)
    {
        InterruptMask &= ~vectors;
        controller.InterruptsUnmasked();
        return 0;
    }

    private void UpdatePin() => controller.UpdatePin();

    private void Configure(uint value, uint old) => controller.Configure(wasEnabled: (old & 1) != 0, isShutdownNew: ((value ^ old) & 0xC000) != 0);
}
