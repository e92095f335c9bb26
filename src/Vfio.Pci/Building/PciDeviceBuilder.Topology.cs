namespace Vfio.Pci;

/// <content>Where the device stands, and what it is to others (spec vfio-core §5.11, §5.14; ADR 0104).</content>
public sealed partial class PciDeviceBuilder
{
    private const ushort SingleRootId = 0x0010;
    private (PciBus Bus, int Device, int Function)? _place;
    private VirtualFunctionToken? _token;
    private VirtualFunctionSet? _virtualFunctions;
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

    /// <summary>
    /// Makes the device an SR-IOV physical function with a capability that says so. Users see it and cannot write it, as with vfio-pci: the host makes and
    /// removes virtual functions (<see cref="VfioPciDevice.TrySetVirtualFunctions"/>).
    /// </summary>
    /// <param name="functions">The virtual functions that it can have.</param>
    /// <param name="offset">Where in configuration space, or 0 for anywhere.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder PhysicalFunction(VirtualFunctionSet functions, int offset = 0)
    {
        ArgumentNullException.ThrowIfNull(functions);
        if (functions.Limit is < 1 or > 256 || functions.FirstOffset is < 1 or > ushort.MaxValue || functions.Stride is < 1 or > ushort.MaxValue)
        {
            _mistakes.Add($"{functions.Limit} virtual functions at {functions.FirstOffset}, each {functions.Stride} further; 1 to 256, and offsets and strides of 1 to 65535, are accepted.");
        }

        _virtualFunctions = functions;
        _ = PhysicalFunction();
        return AddExtended(
            new PciCapability { Name = "single root I/O virtualization", Id = SingleRootId, Size = 0x40, IsExtended = true, FixedOffset = offset }
                .Register(0x0C, 2, (ulong)functions.Limit)
                .Register(0x0E, 2, (ulong)functions.Limit)
                .Register(0x14, 2, (ulong)functions.FirstOffset)
                .Register(0x16, 2, (ulong)functions.Stride)
                .Register(0x1A, 2, functions.DeviceId)
                .Register(0x1C, 4, 0x0000_0553)
                .Register(0x20, 4, 0x0000_0001));
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
