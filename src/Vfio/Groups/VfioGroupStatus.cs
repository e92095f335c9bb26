using Vfio.Abi;

namespace Vfio;

/// <summary>What a user may do with a group.</summary>
[Flags]
public enum VfioGroupStatus : uint
{
    /// <summary>Nothing: somebody else owns the DMA of its devices.</summary>
    None = 0,

    /// <summary>It can be put in a container, or is in one.</summary>
    Viable = VfioUapi.VFIO_GROUP_FLAGS_VIABLE,

    /// <summary>It is in a container, or an iommufd stands for one.</summary>
    ContainerSet = VfioUapi.VFIO_GROUP_FLAGS_CONTAINER_SET,
}
