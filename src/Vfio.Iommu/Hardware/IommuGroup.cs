using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A set of devices that the (simulated) platform's IOMMU cannot tell apart; what <c>/dev/vfio/N</c> is named after.</summary>
/// <remarks>
/// It also stands for the platform's DMA ownership service: at any time one owner decides where the DMA of all its devices goes, by
/// attaching domains. Its lock is a leaf but for the domains' own attach and detach, which run under it.
/// </remarks>
public sealed class IommuGroup
{
    private readonly Lock _lock = new();
    private readonly Dictionary<uint, IIommuDomain> _domains = [];
    private object? _owner;
    private int _claims;

    /// <summary>Makes a group. Hosts make theirs with <c>VfioHost.CreateIommuGroup</c>, which numbers them.</summary>
    /// <param name="id">Its number.</param>
    /// <param name="name">A name, or null.</param>
    /// <param name="hardware">The IOMMU in front of its devices.</param>
    public IommuGroup(int id, string? name, IIommuHardware hardware)
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
    /// <param name="owner">The owner.</param>
    /// <returns>True while it has a claim.</returns>
    public bool IsOwnedBy(object owner)
    {
        lock (_lock)
        {
            return _claims > 0 && ReferenceEquals(_owner, owner);
        }
    }

    /// <summary>Takes the DMA of the group's devices. Claims of one owner are counted.</summary>
    /// <param name="owner">Who takes it. A driver of the host that keeps a sibling device claims with an object of its own.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EPERM"/> while another owner has it; <see cref="Errno.EBUSY"/> while a domain is attached that no owner answers for.</returns>
    /// <remarks><c>iommu_group_claim_dma_owner</c>, <c>iommu_device_claim_dma_owner</c>.</remarks>
    public Errno ClaimDma(object owner)
    {
        lock (_lock)
        {
            if (_claims > 0 && !ReferenceEquals(_owner, owner))
            {
                return Errno.EPERM;
            }

            if (_claims == 0 && _domains.Count > 0)
            {
                return Errno.EBUSY;
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

    /// <summary>Where the DMA of the group's devices goes.</summary>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <returns>The domain, or null: their DMA is blocked.</returns>
    public IIommuDomain? GetDomain(uint pasid = 0)
    {
        lock (_lock)
        {
            return _domains.GetValueOrDefault(pasid);
        }
    }

    /// <summary>Sends the DMA of the group's devices to a domain.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EBUSY"/> while another domain has it; or the domain's refusal.</returns>
    /// <remarks><c>iommu_attach_group</c>, <c>iommu_attach_device_pasid</c>.</remarks>
    public Errno Attach(IIommuDomain domain, uint pasid = 0)
    {
        lock (_lock)
        {
            if (_domains.ContainsKey(pasid))
            {
                return Errno.EBUSY;
            }

            Errno error = domain.Attach(this, pasid);
            if (error == Errno.None)
            {
                _domains.Add(pasid, domain);
            }

            return error;
        }
    }

    /// <summary>Sends the DMA of the group's devices to another domain, with no moment between.</summary>
    /// <param name="domain">The new domain.</param>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> without a domain to replace; or the new domain's refusal, and the old one stays.</returns>
    /// <remarks><c>iommu_group_replace_domain</c>, <c>iommu_replace_device_pasid</c>.</remarks>
    public Errno Replace(IIommuDomain domain, uint pasid = 0)
    {
        lock (_lock)
        {
            if (!_domains.TryGetValue(pasid, out IIommuDomain? old))
            {
                return Errno.EINVAL;
            }

            if (ReferenceEquals(old, domain))
            {
                return Errno.None;
            }

            Errno error = domain.Attach(this, pasid);
            if (error == Errno.None)
            {
                _domains[pasid] = domain;
                old.Detach(this, pasid);
            }

            return error;
        }
    }

    /// <summary>Blocks the DMA of the group's devices; without a domain it does nothing.</summary>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <remarks><c>iommu_detach_group</c>, <c>iommu_detach_device_pasid</c>.</remarks>
    public void Detach(uint pasid = 0)
    {
        lock (_lock)
        {
            if (_domains.Remove(pasid, out IIommuDomain? domain))
            {
                domain.Detach(this, pasid);
            }
        }
    }
}
