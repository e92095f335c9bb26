using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The memory that virtual IOMMUs of an iommufd context show to programs that map the context's file.</summary>
/// <remarks>
/// What is mapped keeps its virtual IOMMU. Nobody tells of an unmap, so the processes are looked at whenever a program wants to destroy something of the context.
/// </remarks>
internal sealed class ContextMemory(IommufdContext context) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<Given> _given = [];
    private readonly List<Mapped> _mapped = [];

    /// <summary>Gives a process descriptors of what it can map and has none of yet.</summary>
    /// <param name="give">Gives one; its number there, or an errno.</param>
    public void Offer(Func<FileDescriptor, IoResult> give)
    {
        lock (_lock)
        {
            MappableOffer[] offers = context.Offers;
            _given.RemoveAll(given => !offers.Contains(given.Offer));
            foreach (MappableOffer offer in offers)
            {
                if (!_given.Exists(given => given.Offer == offer) && give(offer.Memory) is { IsError: false } number)
                {
                    _given.Add(new Given(offer, (int)number.Value));
                }
            }
        }
    }

    /// <summary>Checks a map, and notes it.</summary>
    /// <param name="request">What the program wants to map.</param>
    /// <param name="number">The descriptor in the program that is to be mapped instead.</param>
    /// <param name="offset">The position in it.</param>
    public Errno TryMap(in MapRequest request, out int number, out ulong offset)
    {
        number = -1;
        Errno error = context.Map(in request, out MappableMemory memory);
        offset = memory.Offset;
        if (error != Errno.None)
        {
            return error;
        }

        lock (_lock)
        {
            Given? given = _given.Find(candidate => candidate.Offer.Memory == memory.Descriptor);
            if (given is null || memory.Descriptor.TryGetStatus(out FileStatus status) != Errno.None)
            {
                memory.Lease?.Dispose();
                return Errno.ENODEV;
            }

            number = given.Number;
            _mapped.Add(new Mapped(new FileIdentity(status.Device, status.Inode), memory.Lease));
            return Errno.None;
        }
    }

    /// <summary>Lets go of what no process has mapped any more.</summary>
    /// <param name="isMapped">Whether some process has a file mapped.</param>
    public void ReleaseUnmapped(Func<FileIdentity, bool> isMapped)
    {
        lock (_lock)
        {
            _mapped.RemoveAll(mapped =>
            {
                bool isGone = !isMapped(mapped.File);
                if (isGone)
                {
                    mapped.Lease?.Dispose();
                }

                return isGone;
            });
        }
    }

    public void Dispose() => ReleaseUnmapped(static _ => false);

    private sealed record Given(MappableOffer Offer, int Number);

    private sealed record Mapped(FileIdentity File, IDisposable? Lease);
}
