namespace Vfio.Kernel;

/// <summary>How a <see cref="KernelConnection"/> is made.</summary>
public sealed record KernelOptions
{
    /// <summary>The only path to take; null to take the first that the kernel offers.</summary>
    public KernelPath? Path { get; init; }

    /// <summary>
    /// Whether a device may be used without an IOMMU. Such a device can overwrite any memory of the machine, this process's program
    /// and the kernel's too, and the kernel is tainted: for machines that may be lost only.
    /// </summary>
    public bool AllowUnsafeNoIommu { get; init; }

    /// <summary>
    /// A connection whose address space this one shares, and its group where the path goes through one: memory that either maps is reached by both devices.
    /// Two functions of one IOMMU group can be used at the same time in this way only. The path is that connection's.
    /// </summary>
    public KernelConnection? ShareWith { get; init; }

    /// <summary>Where the kernel's file systems are.</summary>
    public KernelFiles Files { get; init; } = KernelFiles.Running;
}
