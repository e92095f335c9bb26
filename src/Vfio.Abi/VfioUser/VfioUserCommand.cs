namespace Vfio.Abi;

/// <summary>Command numbers of vfio-user. 14 was used by a draft and is free.</summary>
public enum VfioUserCommand : ushort
{
    /// <summary>No command.</summary>
    None = 0,
    Version = 1,
    DmaMap = 2,
    DmaUnmap = 3,
    DeviceGetInfo = 4,
    DeviceGetRegionInfo = 5,
    DeviceGetRegionIoFds = 6,
    DeviceGetIrqInfo = 7,
    DeviceSetIrqs = 8,
    RegionRead = 9,
    RegionWrite = 10,

    /// <summary>From the server to the client.</summary>
    DmaRead = 11,

    /// <summary>From the server to the client.</summary>
    DmaWrite = 12,
    DeviceReset = 13,
    RegionWriteMulti = 15,
    DeviceFeature = 16,
    MigrationDataRead = 17,
    MigrationDataWrite = 18,
}
