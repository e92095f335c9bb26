namespace Vfio.Devices.Dsa;

/// <summary>How a descriptor ended (DSA 1.0 §5.7); the software error register knows a few more.</summary>
internal enum CompletionStatus : byte
{
    None = 0,
    Success = 1,

    /// <summary>Success, but the result is not the expected one.</summary>
    SuccessUnexpected = 2,

    /// <summary>Descriptors of the batch failed.</summary>
    BatchFailed = 5,

    /// <summary>Offsets of a delta record do not rise.</summary>
    DeltaOffsetOrder = 7,

    /// <summary>An offset of a delta record is beyond the destination.</summary>
    DeltaOffsetRange = 8,

    BadOpcode = 0x10,
    InvalidFlags = 0x11,
    ReservedNotZero = 0x12,
    TransferSize = 0x13,
    DescriptorCount = 0x14,
    DeltaSize = 0x15,
    Overlap = 0x16,
    DualcastAlignment = 0x17,
    ListAlignment = 0x18,
    InterruptHandle = 0x19,
    CompletionAddress = 0x1A,
    CompletionAlignment = 0x1B,
    Alignment = 0x1C,

    /// <summary>An address is not mapped, and the device does not ask for pages.</summary>
    TranslationFailed = 0x1F,

    /// <summary>Software error: a descriptor came for a work queue that is not enabled.</summary>
    QueueDisabled = 0x51,

    /// <summary>Software error: a descriptor came for a work queue that is full.</summary>
    QueueFull = 0x52,
}
