namespace Vfio.Pci;

/// <summary>The virtual functions that a physical function can have (PCI Express, single root I/O virtualization).</summary>
/// <param name="Limit">How many, 1 to 256.</param>
/// <param name="FirstOffset">What is added to the physical function's routing id (bus, device, function) for that of the first.</param>
/// <param name="Stride">What is added for each further one.</param>
/// <param name="DeviceId">Their device id.</param>
/// <param name="Create">Makes the device of one, by its index; it declares <see cref="PciDeviceBuilder.VirtualFunctionOf"/>.</param>
public sealed record VirtualFunctionSet(int Limit, int FirstOffset, int Stride, ushort DeviceId, Func<int, VfioPciDevice> Create);
