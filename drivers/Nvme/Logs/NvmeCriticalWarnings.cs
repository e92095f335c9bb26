namespace Vfio.Drivers.Nvme;

/// <summary>What is critical about a device's health (Base 2.0 figure 207, byte 0).</summary>
[Flags]
public enum NvmeCriticalWarnings : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The spare capacity is below its threshold.</summary>
    AvailableSpare = 1 << 0,

    /// <summary>A temperature is beyond its thresholds.</summary>
    Temperature = 1 << 1,

    /// <summary>Reliability is degraded.</summary>
    Reliability = 1 << 2,

    /// <summary>The media are read-only.</summary>
    ReadOnly = 1 << 3,

    /// <summary>The backup of volatile memory failed.</summary>
    VolatileMemoryBackup = 1 << 4,

    /// <summary>The persistent memory region is read-only or unreliable.</summary>
    PersistentMemoryRegion = 1 << 5,
}
