namespace Vfio.Drivers.Nvme;

/// <summary>Opcodes of the admin commands that the driver sends (Base 2.0 figure 138). None of them changes what is stored.</summary>
internal static class AdminOpcode
{
    public const byte DeleteSubmissionQueue = 0x00;
    public const byte CreateSubmissionQueue = 0x01;
    public const byte GetLogPage = 0x02;
    public const byte DeleteCompletionQueue = 0x04;
    public const byte CreateCompletionQueue = 0x05;
    public const byte Identify = 0x06;
    public const byte Abort = 0x08;
    public const byte SetFeatures = 0x09;
    public const byte GetFeatures = 0x0A;
    public const byte DoorbellBufferConfig = 0x7C;
}
