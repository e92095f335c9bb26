namespace Vfio.Iommu;

/// <summary>A piece of a pin: one area's memory.</summary>
internal readonly record struct DmaPinSegment(IovaArea Area, ulong Offset, nint Pointer, ulong Length);
