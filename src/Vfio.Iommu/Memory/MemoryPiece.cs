namespace Vfio.Iommu;

/// <summary>A part of a memory source, held by a reference on it.</summary>
internal readonly record struct MemoryPiece(MemorySource Source, ulong Offset, ulong Length);
