namespace Vfio;

/// <summary>What a device is: the content of <c>vfio_device_info</c>.</summary>
/// <param name="Flags">Kind and abilities.</param>
/// <param name="RegionCount">Number of region indices.</param>
/// <param name="IrqCount">Number of interrupt indices.</param>
public readonly record struct DeviceInfo(DeviceFlags Flags, uint RegionCount, uint IrqCount);
