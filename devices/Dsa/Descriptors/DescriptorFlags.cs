namespace Vfio.Devices.Dsa;

/// <summary>Flags of a descriptor (DSA 1.0 §8.1.3); bits 16 and up are an operation's own.</summary>
[Flags]
internal enum DescriptorFlags : uint
{
    None = 0,

    /// <summary>Waits for the batch's descriptors before it.</summary>
    Fence = 1,

    /// <summary>Waits for pages; the device does not offer it.</summary>
    BlockOnFault = 2,

    /// <summary>The completion record address is valid.</summary>
    CompletionAddressValid = 4,

    /// <summary>A completion record is written also without an error.</summary>
    RequestCompletion = 8,

    RequestInterrupt = 0x10,

    /// <summary>The result is compared with the expected one.</summary>
    CheckResult = 0x80,

    CacheControl = 0x100,

    /// <summary>Traffic classes of the three addresses and of the completion record, which the model does not tell apart.</summary>
    TrafficClasses = 0x1E00,

    StrictOrdering = 0x2000,

    ReadSeed = 0x1_0000,

    BypassInversion = 0x2_0000,

    /// <summary>What every operation takes.</summary>
    Common = Fence | CompletionAddressValid | RequestCompletion | RequestInterrupt | TrafficClasses | StrictOrdering,
}
