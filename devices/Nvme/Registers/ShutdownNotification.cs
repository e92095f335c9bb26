namespace Vfio.Devices.Nvme;

/// <summary>CC.SHN: what the host is about to do.</summary>
internal enum ShutdownNotification : byte
{
    None = 0,
    Normal = 1,
    Abrupt = 2,
}
