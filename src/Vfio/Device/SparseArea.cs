namespace Vfio;

/// <summary>An area of a region that may be mapped.</summary>
/// <param name="Offset">Offset in the region, in bytes.</param>
/// <param name="Size">Size in bytes.</param>
public readonly record struct SparseArea(ulong Offset, ulong Size);
