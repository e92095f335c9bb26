
namespace Vfio.Iommu;

/// <summary>I/O addresses that the platform keeps for itself.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="IsRelaxable">Whether a user may map there all the same (firmware's direct mappings that it can do without).</param>
public readonly record struct ReservedRegion(IovaRange Range, bool IsRelaxable = false);
