using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private readonly List<MappableOffer> _offers = [];

    /// <summary>Maps memory that a virtual IOMMU offers.</summary>
    /// <param name="request">Position and length must be those of an offer.</param>
    /// <param name="memory">The memory. Its lease keeps the virtual IOMMU.</param>
    /// <returns>
    /// <see cref="Errno.EINVAL"/> for a length that is no multiple of the page or a private mapping; <see cref="Errno.EPERM"/> for code;
    /// <see cref="Errno.ENXIO"/> where nothing, or something of another length, is offered.
    /// </returns>
    /// <remarks><c>iommufd_fops_mmap</c>; spec iommufd §1.11.</remarks>
    public override Errno Map(in MapRequest request, out MappableMemory memory)
    {
        memory = default;
        if (request.Length == 0 || (request.Length & (PageSize - 1)) != 0 || !request.Shared)
        {
            return Errno.EINVAL;
        }

        if ((request.Protection & MemoryProtection.Execute) != 0)
        {
            return Errno.EPERM;
        }

        ulong position = request.Position;
        MappableOffer? offer;
        lock (_offers)
        {
            offer = _offers.Find(candidate => candidate.Position == position);
        }

        if (offer is null || offer.Length != request.Length || !TryKeep(offer.Owner))
        {
            return Errno.ENXIO;
        }

        memory = new MappableMemory(offer.Memory, 0, offer.Length) { Lease = new Lease(offer.Owner) };
        return Errno.None;
    }

    /// <summary>What can be mapped now.</summary>
    internal MappableOffer[] Offers
    {
        get
        {
            lock (_offers)
            {
                return [.. _offers];
            }
        }
    }

    internal MappableOffer Offer(IommufdObject owner, FileDescriptor memory, ulong length)
    {
        lock (_offers)
        {
            // The lowest free place; nothing is ever offered at 0.
            ulong position = PageSize;
            foreach (MappableOffer other in _offers)
            {
                if (other.Position - position >= length)
                {
                    break;
                }

                position = other.Position + other.Length;
            }

            MappableOffer offer = new(this, owner, memory, position, length);
            int place = _offers.FindIndex(other => other.Position > position);
            _offers.Insert(place < 0 ? _offers.Count : place, offer);
            return offer;
        }
    }

    internal void Withdraw(MappableOffer offer)
    {
        lock (_offers)
        {
            _offers.Remove(offer);
        }
    }

    private sealed class Lease(IommufdObject owner) : IDisposable
    {
        private int _disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0)
            {
                owner.Context.Put(owner);
            }
        }
    }
}
