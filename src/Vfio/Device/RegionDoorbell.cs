using Vfio.Linux;

namespace Vfio;

/// <summary>A place in a region that an eventfd stands for: signalling the eventfd has the effect of the register write.</summary>
/// <param name="Offset">Offset in the region, in bytes.</param>
/// <param name="Size">Width of the write in bytes: 1, 2, 4 or 8; 0 for any.</param>
/// <param name="Descriptor">The eventfd.</param>
/// <param name="DataMatch">When not null, only writes of this value ring.</param>
public readonly record struct RegionDoorbell(ulong Offset, uint Size, FileDescriptor Descriptor, ulong? DataMatch);
