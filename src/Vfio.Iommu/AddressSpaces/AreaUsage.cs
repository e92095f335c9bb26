using System.Runtime.InteropServices;

namespace Vfio.Iommu;

/// <summary>How much of an address space is of one kind.</summary>
/// <param name="Areas">Number of areas.</param>
/// <param name="Bytes">Bytes in them.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct AreaUsage(int Areas, ulong Bytes);
