namespace Vfio.Devices.Nvme;

/// <summary>What the controller can do, as the CAP register says it (NVMe Base 2.0 §3.1.3.1).</summary>
internal static class ControllerCapabilities
{
    /// <summary>VS: NVMe 2.0.</summary>
    public const uint Version = 0x0002_0000;

    /// <summary>CAP.TO and CRTO.CRWMT: how long a host waits for RDY, in units of 500 ms.</summary>
    public const uint Timeout = 20;

    /// <summary>CAP.MPSMAX: pages of 4 to 64 KiB.</summary>
    public const int MaxPageShift = 16;

    public const int MinPageShift = 12;

    /// <summary>Identify.MDTS: 2⁸ pages of 4 KiB.</summary>
    public const int MaxTransferShift = 8;

    /// <summary>The longest transfer in bytes.</summary>
    public const int MaxTransfer = 1 << (MaxTransferShift + MinPageShift);
}
