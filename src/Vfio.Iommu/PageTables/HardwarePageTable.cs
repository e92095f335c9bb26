using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>Something that devices' DMA can be sent to: a domain, with the user's handle on it (iommufd's HWPT).</summary>
public abstract class HardwarePageTable : IommufdObject
{
    private protected HardwarePageTable(IommufdContext context, IIommuDomain domain, DomainOptions options)
        : base(context)
    {
        Domain = domain;
        Options = options;
    }

    /// <summary>What the hardware sees.</summary>
    public IIommuDomain Domain { get; }

    /// <summary>What it was made with.</summary>
    public DomainOptions Options { get; }

    /// <summary>Where page faults of its devices go; null when they are the device's own business.</summary>
    public FaultQueue? Faults { get; private set; }

    /// <summary>The page table whose address space it stands on: itself, or the parent of a first stage.</summary>
    internal abstract PagingHardwarePageTable Paging { get; }

    /// <summary>Has page faults delivered to a queue, which it keeps.</summary>
    /// <param name="faultId">The queue's id.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENOENT"/>.</returns>
    internal Errno SetFaults(uint faultId)
    {
        Errno error = Context.TryGet(faultId, out FaultQueue? queue);
        Faults = queue;
        return error;
    }

    internal override void Destroyed()
    {
        Domain.Dispose();
        if (Faults is { } queue)
        {
            Context.Put(queue);
        }
    }
}
