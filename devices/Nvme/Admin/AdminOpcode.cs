namespace Vfio.Devices.Nvme;

/// <summary>Opcodes of the admin command set (NVMe Base 2.0 §5, figure 138).</summary>
internal enum AdminOpcode : byte
{
    DeleteSubmissionQueue = 0x00,
    CreateSubmissionQueue = 0x01,
    GetLogPage = 0x02,
    DeleteCompletionQueue = 0x04,
    CreateCompletionQueue = 0x05,
    Identify = 0x06,
    Abort = 0x08,
    SetFeatures = 0x09,
    GetFeatures = 0x0A,
    AsyncEventRequest = 0x0C,
    NamespaceManagement = 0x0D,
    NamespaceAttachment = 0x15,
    DoorbellBufferConfig = 0x7C,
    FormatNvm = 0x80,
}
