namespace Vfio.Devices.Nvme;

/// <summary>Feature identifiers (NVMe Base 2.0 §5.27.1).</summary>
internal enum FeatureId : byte
{
    Arbitration = 0x01,
    PowerManagement = 0x02,
    TemperatureThreshold = 0x04,
    ErrorRecovery = 0x05,
    VolatileWriteCache = 0x06,
    NumberOfQueues = 0x07,
    InterruptCoalescing = 0x08,
    InterruptVector = 0x09,
    WriteAtomicity = 0x0A,
    AsyncEvents = 0x0B,
    Timestamp = 0x0E,
    CommandSetProfile = 0x19,
    HostIdentifier = 0x81,
    WriteProtection = 0x84,
}
