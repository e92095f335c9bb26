namespace Vfio.Devices.Nvme;

/// <summary>CSTS.SHST: how far a shutdown is.</summary>
internal enum ShutdownStatus : byte
{
    None = 0,
    Occurring = 1,
    Complete = 2,
}
