using Vfio.Iommu;

namespace Vfio;

/// <summary>What can be mapped into a container.</summary>
/// <param name="PageSizes">The page sizes that every device can use, one bit each; the lowest is the unit of addresses.</param>
/// <param name="AvailableMappings">How many more mappings there may be.</param>
/// <param name="UsableRanges">Where memory may be mapped, ascending; empty means everywhere.</param>
public sealed record Type1Info(ulong PageSizes, int AvailableMappings, IReadOnlyList<IovaRange> UsableRanges);
