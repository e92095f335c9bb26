namespace Vfio.Iommu;

/// <summary>How memory that somebody hands over by descriptor is reached.</summary>
public enum DescriptorMemoryPolicy
{
    /// <summary>Mapped when it is, or can be, sealed against shrinking; by positioned reads and writes otherwise.</summary>
    Safe,

    /// <summary>Always mapped: the peer is trusted not to shrink it, since that would end this process with SIGBUS.</summary>
    Trusted,

    /// <summary>Never mapped.</summary>
    NeverMap,
}
