namespace Vfio.Devices.Dsa;

/// <summary>Commands of the CMD register (DSA 1.0 §9.2.12).</summary>
internal enum DsaCommand : byte
{
    None = 0,
    EnableDevice = 1,
    DisableDevice = 2,
    DrainAll = 3,
    AbortAll = 4,
    ResetDevice = 5,
    EnableQueue = 6,
    DisableQueue = 7,
    DrainQueue = 8,
    AbortQueue = 9,
    ResetQueue = 10,
    DrainPasid = 11,
    AbortPasid = 12,
}
