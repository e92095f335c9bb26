namespace Vfio.Devices.Nvme;

/// <summary>What became of a command: status code in bits 7:0 and status code type in bits 10:8, as in a completion (NVMe Base 2.0 §3.3.3.2.1).</summary>
internal enum NvmeStatus : ushort
{
    // Generic (type 0).
    Success = 0x000,
    InvalidOpcode = 0x001,
    InvalidField = 0x002,
    DataTransferError = 0x004,
    InternalError = 0x006,
    AbortRequested = 0x007,
    AbortedQueueDeleted = 0x008,
    AbortedFailedFused = 0x009,
    AbortedMissingFused = 0x00A,
    InvalidNamespace = 0x00B,
    CommandSequenceError = 0x00C,
    InvalidSglSegment = 0x00D,
    InvalidSglCount = 0x00E,
    DataSglLengthInvalid = 0x00F,
    SglTypeInvalid = 0x011,
    PrpOffsetInvalid = 0x013,
    SglOffsetInvalid = 0x016,
    NamespaceWriteProtected = 0x020,
    LbaOutOfRange = 0x080,
    CapacityExceeded = 0x081,
    NamespaceNotReady = 0x082,
    FormatInProgress = 0x084,

    // Command specific (type 1).
    CompletionQueueInvalid = 0x100,
    InvalidQueueId = 0x101,
    InvalidQueueSize = 0x102,
    AbortLimitExceeded = 0x103,
    EventLimitExceeded = 0x105,
    InvalidInterruptVector = 0x108,
    InvalidLogPage = 0x109,
    InvalidFormat = 0x10A,
    InvalidQueueDeletion = 0x10C,
    FeatureNotSaveable = 0x10D,
    FeatureNotChangeable = 0x10E,
    FeatureNotPerNamespace = 0x10F,
    InsufficientCapacity = 0x115,
    NamespaceIdUnavailable = 0x116,
    NamespaceAlreadyAttached = 0x118,
    NamespaceNotAttached = 0x11A,
    ThinProvisioningNotSupported = 0x11B,
    ControllerListInvalid = 0x11C,
    CommandSetCombinationRejected = 0x12B,
    InvalidProtectionInformation = 0x181,
    CommandSizeLimitExceeded = 0x183,
    ZoneBoundaryError = 0x1B8,
    ZoneIsFull = 0x1B9,
    ZoneIsReadOnly = 0x1BA,
    ZoneIsOffline = 0x1BB,
    ZoneInvalidWrite = 0x1BC,
    TooManyActiveZones = 0x1BD,
    TooManyOpenZones = 0x1BE,
    InvalidZoneStateTransition = 0x1BF,

    // Media (type 2).
    WriteFault = 0x280,
    UnrecoveredRead = 0x281,
    GuardCheckError = 0x282,
    ApplicationTagCheckError = 0x283,
    ReferenceTagCheckError = 0x284,
    CompareFailure = 0x285,

    /// <summary>Not on the wire: the command is kept and completes later, in the slot that was reserved for it.</summary>
    Kept = 0xFFFE,

    /// <summary>Not on the wire: the command is kept and completes later, in a slot that is reserved then.</summary>
    Deferred = 0xFFFF,
}
