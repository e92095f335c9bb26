using Vfio.Abi;

namespace Vfio;

/// <summary>A set of devices that the (simulated) platform's IOMMU cannot tell apart; what <c>/dev/vfio/N</c> is named after.</summary>
/// <remarks>
/// Made by <see cref="VfioHost.CreateIommuGroup"/>; the host makes one itself for each emulated device. It also stands for the
/// platform's DMA ownership service: at any time one owner decides where the DMA of all its devices goes. Its lock is a leaf.
/// </remarks>
public sealed class IommuGroup
{
    private readonly Lock _lock = new();
    private object? _owner;
    private int _claims;

    internal IommuGroup(int id, string? name, IIommuHardware hardware)
    {
        Id = id;
        Name = name;
        Hardware = hardware;
    }

    /// <summary>The number in the group's node name.</summary>
    public int Id { get; }

    /// <summary>A name, if it has one; groups that the host made itself are called "vfio-noiommu", as in the kernel.</summary>
    public string? Name { get; }

    /// <summary>The IOMMU in front of the group's devices.</summary>
    public IIommuHardware Hardware { get; }

    /// <summary>Whether somebody owns the DMA of the group's devices: a user, or a driver of the host.</summary>
    /// <remarks><c>iommu_group_dma_owner_claimed</c>.</remarks>
    public bool IsDmaOwned
    {
        get
        {
            lock (_lock)
            {
                return _claims > 0;
            }
        }
    }

    /// <summary>Whether this owner has the DMA of the group's devices.</summary>
    internal bool IsOwnedBy(object owner)
    {
        lock (_lock)
        {
            return _claims > 0 && ReferenceEquals(_owner, owner);
        }
    }

    /// <summary>Takes the DMA of the group's devices. Claims of one owner are counted.</summary>
    /// <param name="owner">Who takes it. A driver of the host that keeps a sibling device claims with an object of its own.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EPERM"/> while another owner has it.</returns>
    /// <remarks><c>iommu_group_claim_dma_owner</c>, <c>iommu_device_claim_dma_owner</c>.</remarks>
    public Errno ClaimDma(object owner)
    {
        lock (_lock)
        {
            if (_claims > 0 && !ReferenceEquals(_owner, owner))
            {
                return Errno.EPERM;
            }

            _owner = owner;
            _claims++;
            return Errno.None;
        }
    }

    /// <summary>Gives one claim back; without a claim of this owner it does nothing.</summary>
    /// <param name="owner">Who took it.</param>
    /// <remarks><c>iommu_group_release_dma_owner</c>.</remarks>
    public void ReleaseDma(object owner)
    {
        lock (_lock)
        {
            if (_claims > 0 && ReferenceEquals(_owner, owner) && --_claims == 0)
            {
                _owner = null;
            }
        }
    }
}
