namespace Vfio.Devices.Nvme;

/// <summary>Asynchronous events as dword 0 of their completion tells them: type in bits 2:0, information in 15:8, log page in 23:16 (NVMe Base 2.0 §5.2).</summary>
internal enum AsyncEvent : uint
{
    InvalidDoorbellRegister = 0x01_00_00,
    InvalidDoorbellValue = 0x01_01_00,
    ReliabilityDegraded = 0x02_00_01,
    TemperatureThreshold = 0x02_01_01,
    NamespaceAttributeChanged = 0x04_00_02,
}
