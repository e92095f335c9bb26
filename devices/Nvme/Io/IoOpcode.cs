namespace Vfio.Devices.Nvme;

/// <summary>Opcodes of the NVM command set (NVM Command Set 1.0 §3, figure 5; Flush: NVMe Base 2.0 §7.1) and of zones (ZNS Command Set 1.1 §3, figure 16).</summary>
internal enum IoOpcode : byte
{
    Flush = 0x00,
    Write = 0x01,
    Read = 0x02,
    WriteUncorrectable = 0x04,
    Compare = 0x05,
    WriteZeroes = 0x08,
    DatasetManagement = 0x09,
    Verify = 0x0C,
    Copy = 0x19,
    ZoneManagementSend = 0x79,
    ZoneManagementReceive = 0x7A,
    ZoneAppend = 0x7D,
}
