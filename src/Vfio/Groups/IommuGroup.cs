namespace Vfio;

/// <summary>A set of devices that the (simulated) platform's IOMMU cannot tell apart; what <c>/dev/vfio/N</c> is named after.</summary>
/// <remarks>Made by <see cref="VfioHost.CreateIommuGroup"/>; the host makes one itself for each emulated device.</remarks>
public sealed class IommuGroup
{
    internal IommuGroup(int id, string? name)
    {
        Id = id;
        Name = name;
    }

    /// <summary>The number in the group's node name.</summary>
    public int Id { get; }

    /// <summary>A name, if it has one; groups that the host made itself are called "vfio-noiommu", as in the kernel.</summary>
    public string? Name { get; }
}
