namespace Vfio.Devices.Dsa;

/// <summary>States of GENSTS.</summary>
internal enum DsaState : byte
{
    Disabled = 0,
    Enabled = 1,
    Draining = 2,
    Halted = 3,
}
