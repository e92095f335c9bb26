namespace Vfio.Devices.Dsa;

/// <summary>What the device has; the capability registers say it.</summary>
internal static class DsaLimits
{
    public const int Queues = 8;
    public const int Groups = 4;
    public const int Engines = 4;

    /// <summary>Descriptors that all work queues hold together.</summary>
    public const int TotalQueueSize = 128;

    /// <summary>The longest batch, as a power of two.</summary>
    public const int BatchShift = 10;

    /// <summary>MSI-X: one vector for commands and errors, then one a work queue.</summary>
    public const int Vectors = 1 + Queues;

    /// <summary>The four pages of portals that a work queue has.</summary>
    public const ulong PortalsSize = 4 * 4096;
}
