using System.Runtime.InteropServices;

namespace Vfio.Iommu;

/// <summary>A piece of the user's memory, as descriptors of devices name it: one of several that make up a transfer.</summary>
/// <param name="Iova">First address; any alignment.</param>
/// <param name="Length">Length in bytes, not zero.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct DmaSegment(ulong Iova, int Length);
