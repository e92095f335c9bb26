using Vfio.Iommu;

namespace Vfio.Pci;

/// <summary>A bus (or slot) whose functions can only be reset together: what PCI_HOT_RESET acts on.</summary>
/// <remarks>
/// <para>
/// Devices are placed on it by <see cref="PciDeviceBuilder.Address"/>; those of one bus are one device set, so that they are opened, closed and
/// reset under one lock. Functions that no VFIO driver has can stand on it too (<see cref="AddForeign"/>): while they do, nobody may reset it.
/// </para>
/// <para>Its lock is a leaf.</para>
/// </remarks>
public sealed class PciBus
{
    private readonly Lock _lock = new();
    private readonly List<PciFunction> _functions = [];

    /// <summary>Makes an empty bus.</summary>
    /// <param name="segment">The PCI segment (domain).</param>
    /// <param name="number">The bus number.</param>
    public PciBus(ushort segment = 0, byte number = 0)
    {
        Segment = segment;
        Number = number;
    }

    /// <summary>The PCI segment (domain).</summary>
    public ushort Segment { get; }

    /// <summary>The bus number.</summary>
    public byte Number { get; }

    /// <summary>Whether the platform can reset it. Without, hot resets are ENODEV.</summary>
    public bool CanReset { get; init; } = true;

    /// <summary>The functions on it, in the order of their placing.</summary>
    public IReadOnlyList<PciFunction> Functions
    {
        get
        {
            lock (_lock)
            {
                return [.. _functions];
            }
        }
    }

    /// <summary>Places a function that no VFIO driver has.</summary>
    /// <param name="device">Device number, 0 to 31.</param>
    /// <param name="function">Function number, 0 to 7.</param>
    /// <param name="group">Its IOMMU group, or null when it has none.</param>
    /// <returns>The function, to be taken away by <see cref="Remove"/>.</returns>
    /// <exception cref="ArgumentException">The place is taken.</exception>
    public PciFunction AddForeign(int device, int function, IommuGroup? group)
    {
        PciFunction added = new(this, device, function) { ForeignGroup = group };
        return TryAdd(added) ? added : throw new ArgumentException($"{added} is taken.", nameof(device));
    }

    /// <summary>Takes a function away.</summary>
    /// <param name="function">The function; one that is not on the bus is ignored.</param>
    public void Remove(PciFunction function)
    {
        lock (_lock)
        {
            _functions.Remove(function);
        }
    }

    internal bool TryAdd(PciFunction function)
    {
        lock (_lock)
        {
            if (_functions.Exists(other => other.DeviceFunction == function.DeviceFunction))
            {
                return false;
            }

            _functions.Add(function);
            return true;
        }
    }
}
