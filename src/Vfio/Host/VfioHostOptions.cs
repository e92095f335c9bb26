using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vfio.Iommu;

namespace Vfio;

/// <summary>What a <see cref="VfioHost"/> takes from outside, so that every rule can be tested without waiting or privileges.</summary>
public sealed record VfioHostOptions
{
    /// <summary>The clock that time-outs are measured by.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where the host and its devices log.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>What callers are allowed; asked at each privileged operation.</summary>
    public Func<CallerCapabilities> Capabilities { get; init; } = static () => CallerCapabilities.All;

    /// <summary>Whether devices without an IOMMU group may be registered as group devices, at their users' risk (<c>enable_unsafe_noiommu_mode</c>).</summary>
    public bool UnsafeNoIommu { get; init; }

    /// <summary>Whether groups may be used whose devices can raise interrupts that are not theirs (<c>allow_unsafe_interrupts</c>).</summary>
    public bool AllowUnsafeInterrupts { get; init; }

    /// <summary>The most mappings of a container, sampled when its type is set (<c>dma_entry_limit</c>).</summary>
    public int DmaEntryLimit { get; init; } = 65_535;

    /// <summary>Where memory is charged that containers and iommufd keep in place for devices; without limit by default.</summary>
    public LockedMemoryAccount LockedMemory { get; init; } = new();

    /// <summary>Whose memory a caller's is, asked at each map by iommufd; null for the host's own account, as of all callers by default.</summary>
    public Func<ProcessMemoryAccount?> ProcessAccount { get; init; } = static () => null;

    /// <summary>Asked at the first open of a device whether its driver stays; false refuses the open with ENODEV (<c>try_module_get</c>).</summary>
    public Func<VfioDevice, bool> TryGetDriver { get; init; } = static _ => true;

    /// <summary>Told after the last close of a device that its driver is free to go (<c>module_put</c>).</summary>
    public Action<VfioDevice> PutDriver { get; init; } = static _ => { };

    /// <summary>Bounds for iommufd contexts that the host's own users (servers, connections) open.</summary>
    public IommufdLimits IommufdLimits { get; init; } = IommufdLimits.Default;

    /// <summary>Commands besides iommufd's own for contexts that are opened by <see cref="VfioHost.Open"/>; null for none.</summary>
    public IIommufdExtension? IommufdExtension { get; init; }

    /// <summary>Time between two turns of the unregister loop.</summary>
    /// <remarks>Ten seconds in the kernel (<c>vfio_unregister_group_dev</c>).</remarks>
    public TimeSpan RequestInterval { get; init; } = TimeSpan.FromSeconds(10);
}
