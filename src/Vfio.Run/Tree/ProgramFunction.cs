using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Run;

/// <summary>A function on a <see cref="ProgramBus"/>.</summary>
public sealed partial class ProgramFunction
{
    private const int BarCount = 6;
    private readonly Lock _lock = new();
    private readonly ProgramBus _bus;
    private readonly Func<VfioDevice> _create;
    private readonly RegionInfo[] _bars = new RegionInfo[BarCount];
    private VfioRegistration? _registration;
    private byte[] _config = [];

    internal ProgramFunction(ProgramBus bus, PciName name, Func<VfioDevice> create, IommuGroup? group)
    {
        _bus = bus;
        Name = name;
        _create = create;
        Group = group;
    }

    /// <summary>Where it stands.</summary>
    public PciName Name { get; }

    /// <summary>Its IOMMU group; null without an IOMMU.</summary>
    public IommuGroup? Group { get; }

    /// <summary>The driver that is to have it; empty for whichever fits. As sysfs' <c>driver_override</c>.</summary>
    public string DriverOverride { get; set; } = string.Empty;

    /// <summary>Its device while it is bound to vfio-pci; null otherwise.</summary>
    public VfioDevice? Device
    {
        get
        {
            lock (_lock)
            {
                return _registration?.Device;
            }
        }
    }

    /// <summary>The regions 0 to 5, as the device told when it was first bound.</summary>
    internal IReadOnlyList<RegionInfo> Bars => _bars;

    /// <summary>Binds it to vfio-pci: a device is made and registered.</summary>
    /// <exception cref="VfioException">EBUSY: it is bound; or what registering the device said.</exception>
    public void Bind()
    {
        lock (_lock)
        {
            if (_registration is not null)
            {
                throw new VfioException(Errno.EBUSY, $"bind {Name} to vfio-pci", "It is bound.");
            }

            VfioDevice device = _bus.Host.Allocate(_create);
            try
            {
                _registration = _bus.Host.RegisterGroupDevice(device, new DeviceParent(Name.ToString()) { IommuGroup = Group, PasidCount = 0 });
            }
            catch (VfioException)
            {
                device.Put();
                throw;
            }

            if (_config.Length == 0)
            {
                Inspect(device);
            }
        }
    }

    /// <summary>Unbinds it: its user is asked to go, and waited for.</summary>
    /// <returns>The end of it; at once when it is not bound.</returns>
    public async Task UnbindAsync()
    {
        // The driver of a physical function takes its virtual ones along.
        _ = await TrySetVirtualFunctionsAsync(0);
        VfioRegistration? registration;
        lock (_lock)
        {
            registration = _registration;
            _registration = null;
        }

        if (registration is not null)
        {
            await registration.DisposeAsync();
            registration.Device.Put();
        }
    }

    /// <summary>The configuration space as it is now, or was when the device went.</summary>
    internal byte[] ReadConfig()
    {
        if (Device is IPciFunction pci)
        {
            byte[] now = new byte[pci.ConfigLength];
            if (pci.ReadConfig(0, now) == Errno.None)
            {
                _config = now;
            }
        }

        return _config;
    }

    internal uint ReadConfig(int offset, int width)
    {
        byte[] config = ReadConfig();
        uint value = 0;
        for (int i = 0; i < width && offset + i < config.Length; i++)
        {
            value |= (uint)config[offset + i] << (8 * i);
        }

        return value;
    }

    /// <summary>Learns how large the regions are, as an enumeration does. A device without an IOMMU can't be opened by everybody, and has none then.</summary>
    private void Inspect(VfioDevice device)
    {
        _ = ReadConfig();
        if (_bus.Host.TryOpenDevice(device.NodeName, out VfioDeviceFile? file) != Errno.None)
        {
            return;
        }

        using (file)
        using (IommufdContext context = new())
        {
            if (file!.Bind(context, out _) == Errno.None)
            {
                for (uint index = 0; index < BarCount; index++)
                {
                    _ = file.GetRegionInfo(index, out _bars[index], new CapabilityChain());
                }
            }
        }
    }
}
