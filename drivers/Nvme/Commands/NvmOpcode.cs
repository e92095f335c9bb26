namespace Vfio.Drivers.Nvme;

/// <summary>Opcodes of the NVM command set that the driver sends (NVM Command Set 1.0 figure 15, Base 2.0 figure 390).</summary>
internal static class NvmOpcode
{
    public const byte Flush = 0x00;
    public const byte Write = 0x01;
    public const byte Read = 0x02;
    public const byte WriteZeroes = 0x08;
    public const byte DatasetManagement = 0x09;
}
