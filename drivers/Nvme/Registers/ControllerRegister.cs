namespace Vfio.Drivers.Nvme;

/// <summary>The controller's properties in BAR 0, by offset, and their bits (Base 2.0 §3.1.3).</summary>
internal static class ControllerRegister
{
    public const ulong Capabilities = 0x00;
    public const ulong Version = 0x08;
    public const ulong InterruptMaskSet = 0x0C;
    public const ulong InterruptMaskClear = 0x10;
    public const ulong Configuration = 0x14;
    public const ulong Status = 0x1C;
    public const ulong AdminQueueAttributes = 0x24;
    public const ulong AdminSubmissionQueue = 0x28;
    public const ulong AdminCompletionQueue = 0x30;
    public const ulong Doorbells = 0x1000;

    public const uint ConfigurationEnable = 1 << 0;
    public const int ConfigurationCommandSetShift = 4;
    public const int ConfigurationPageSizeShift = 7;
    public const uint ConfigurationShutdownMask = 3 << 14;
    public const uint ConfigurationShutdownNormal = 1 << 14;
    public const int ConfigurationSubmissionEntryShift = 16;
    public const int ConfigurationCompletionEntryShift = 20;

    public const uint StatusReady = 1 << 0;
    public const uint StatusFatal = 1 << 1;
    public const uint StatusShutdownMask = 3 << 2;
    public const uint StatusShutdownComplete = 2 << 2;

    /// <summary>What a device reads as that has gone, or whose connection has.</summary>
    public const uint Gone = uint.MaxValue;
}
