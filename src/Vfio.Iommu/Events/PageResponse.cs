namespace Vfio.Iommu;

/// <summary>What became of a group of page faults.</summary>
public enum PageResponse
{
    /// <summary>The pages are there: the device may try again.</summary>
    Success = 0,

    /// <summary>They will not be there, or nobody answered.</summary>
    Invalid = 1,
}
