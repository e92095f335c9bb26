using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Run;

/// <summary>The PCI bus that a program finds: functions that stand on it, bound to vfio-pci or not.</summary>
/// <param name="host">The host that their devices are registered at.</param>
/// <param name="hardware">Makes the IOMMU in front of each group; null for simulated ones without limits.</param>
public sealed class ProgramBus(VfioHost host, Func<IIommuHardware>? hardware = null) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, ProgramFunction> _functions = new(StringComparer.Ordinal);
    private readonly Dictionary<int, IommuGroup> _groups = [];

    /// <summary>The host.</summary>
    public VfioHost Host { get; } = host;

    /// <summary>The functions, in the order of their names.</summary>
    public IReadOnlyList<ProgramFunction> Functions
    {
        get
        {
            lock (_lock)
            {
                return [.. _functions.Values];
            }
        }
    }

    /// <summary>Puts a function on the bus and binds it to vfio-pci.</summary>
    /// <param name="name">Where it stands; null for the next free device of bus 0.</param>
    /// <param name="create">Makes its device; called again when it is bound again.</param>
    /// <param name="group">A number that functions have in common that share an IOMMU group; null for a group of its own.</param>
    /// <returns>The function.</returns>
    /// <exception cref="VfioException">EEXIST: something stands there; or what registering the device said.</exception>
    public ProgramFunction Add(PciName? name, Func<VfioDevice> create, int? group = null) => Add(name, create, group, physical: null);

    /// <summary>Puts a virtual function next to its physical one.</summary>
    internal ProgramFunction Add(PciName name, Func<VfioDevice> create, ProgramFunction physical) => Add(name, create, group: null, physical);

    /// <summary>Takes a function away; if it is open, its user is waited for.</summary>
    internal async Task RemoveAsync(ProgramFunction function)
    {
        await function.UnbindAsync();
        lock (_lock)
        {
            _functions.Remove(function.Name.ToString());
        }
    }

    private ProgramFunction Add(PciName? name, Func<VfioDevice> create, int? group, ProgramFunction? physical)
    {
        lock (_lock)
        {
            PciName place = name ?? FindFree();
            if (_functions.ContainsKey(place.ToString()))
            {
                throw new VfioException(Errno.EEXIST, $"put a device at {place}", "Another one stands there; give one of them a different address.");
            }

            ProgramFunction function = new(this, place, create, Host.Options.UnsafeNoIommu ? null : Group(group)) { Physical = physical };
            function.Bind();
            _functions.Add(place.ToString(), function);
            return function;
        }
    }

    /// <summary>Takes all functions away; devices that are still open are waited for.</summary>
    /// <returns>The end of it.</returns>
    public async ValueTask DisposeAsync()
    {
        // Virtual functions go with their physical ones.
        foreach (ProgramFunction function in Functions.Where(static function => function.Physical is null))
        {
            await function.UnbindAsync();
        }
    }

    private IommuGroup Group(int? number)
    {
        if (number is not { } shared)
        {
            return Host.CreateIommuGroup(null, hardware?.Invoke());
        }

        if (!_groups.TryGetValue(shared, out IommuGroup? group))
        {
            _groups.Add(shared, group = Host.CreateIommuGroup(null, hardware?.Invoke()));
        }

        return group;
    }

    private PciName FindFree()
    {
        for (int device = 1; ; device++)
        {
            PciName place = new(0, device / 32, device % 32, 0);
            if (!_functions.ContainsKey(place.ToString()))
            {
                return place;
            }
        }
    }
}
