using Vfio.Abi;

namespace Vfio;

/// <summary>Makes mediated devices on request (<c>mdev_driver</c>).</summary>
public abstract class MdevDriver
{
    /// <summary>The interface its devices have, such as "vfio-pci"; empty drivers are refused.</summary>
    public abstract string DeviceApi { get; }

    /// <summary>How many devices one parent can have, over all its types; ignored when <see cref="GetAvailable"/> answers.</summary>
    public virtual uint MaximumInstances => 0;

    /// <summary>Makes the VFIO device of a new mediated device and registers it.</summary>
    /// <param name="device">The mediated device.</param>
    /// <returns><see cref="Errno.None"/>, or the errno of the creation.</returns>
    protected internal abstract Errno Probe(MdevDevice device);

    /// <summary>Unregisters the VFIO device, which may wait for its users, and gives it back.</summary>
    /// <param name="device">The mediated device.</param>
    /// <returns>A task that completes when nothing of it is in use.</returns>
    protected internal abstract Task RemoveAsync(MdevDevice device);

    /// <summary>How many more devices of a type can be made, or null to have the core count up to <see cref="MaximumInstances"/>.</summary>
    /// <param name="type">The type.</param>
    /// <returns>The number, or null.</returns>
    protected internal virtual uint? GetAvailable(MdevType type) => null;

    /// <summary>Describes a type, or null when there is nothing to say.</summary>
    /// <param name="type">The type.</param>
    /// <returns>The text with its line ends.</returns>
    protected internal virtual string? Describe(MdevType type) => null;
}
