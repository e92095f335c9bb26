namespace Vfio.Pci;

/// <content>Where the device stands, and what it is to others (spec vfio-core §5.11, §5.14; ADR 0104).</content>
public sealed partial class PciDeviceBuilder
{
    private (PciBus Bus, int Device, int Function)? _place;
    private VirtualFunctionToken? _token;
    private bool _isVirtual;
    private VfioPciDevice? _physical;

    /// <summary>Places the device on a bus whose functions are reset together. A device without a place stands alone and cannot be hot reset.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="device">Device number, 0 to 31.</param>
    /// <param name="function">Function number, 0 to 7.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Address(PciBus bus, int device, int function = 0)
    {
        ArgumentNullException.ThrowIfNull(bus);
        if (device is < 0 or > 31 || function is < 0 or > 7)
        {
            _mistakes.Add($"the device stands at {device}.{function} of its bus; devices 0 to 31 and functions 0 to 7 are accepted.");
        }

        _place = (bus, device, function);
        return this;
    }

    /// <summary>
    /// Makes the device an SR-IOV physical function: whoever opens it and its virtual functions must agree on a token (spec vfio-core §5.14).
    /// </summary>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder PhysicalFunction()
    {
        _token = new VirtualFunctionToken();
        return this;
    }

    /// <summary>Makes the device an SR-IOV virtual function, which has no interrupt pin.</summary>
    /// <param name="physical">The physical function, allocated before; null when no VFIO driver has it: tokens are then refused.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder VirtualFunctionOf(VfioPciDevice? physical)
    {
        if (physical is not null && !physical.IsPhysicalFunction)
        {
            _mistakes.Add("the physical function is none; it must be allocated and declare PhysicalFunction().");
        }

        _isVirtual = true;
        _physical = physical;
        return this;
    }
}
