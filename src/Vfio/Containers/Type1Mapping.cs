using Vfio.Iommu;

namespace Vfio;

/// <summary>A range that a user mapped into a container (<c>vfio_dma</c>). Guarded by the IOMMU's lock.</summary>
internal sealed class Type1Mapping(IovaRange range, IUserMemory memory, ulong address, DmaAccess access)
{
    private const ulong PageSize = 4096;

    public IovaRange Range { get; } = range;

    public DmaAccess Access { get; } = access;

    public IUserMemory Memory { get; set; } = memory;

    public ulong Address { get; set; } = address;

    /// <summary>Whether the user took the address away for now.</summary>
    public bool IsInvalid { get; set; }

    /// <summary>Whether it stands in the hardware domains, so that all its pages are kept in place and charged.</summary>
    public bool IsHardwareMapped { get; set; }

    /// <summary>Memory that was asked to stay for the hardware domains, and where it was when it was asked.</summary>
    public (IPinnableUserMemory Memory, ulong Address)? Held { get; set; }

    /// <summary>Pages that devices pinned, by the address they gave.</summary>
    public Dictionary<ulong, PinnedPage> Pins { get; } = [];

    /// <summary>One bit a page while dirty pages are tracked.</summary>
    public ulong[]? Dirty { get; set; }

    public long PageCount => (long)(Range.Length / PageSize);

    /// <summary>Pages that the user's account is charged for: all of them with hardware, the pinned ones without.</summary>
    public long Charged { get; set; }

    public ulong AddressOf(ulong iova) => Address + (iova - Range.Start);

    public void MarkDirty(IovaRange touched, ulong unit)
    {
        if (Dirty is not { } dirty)
        {
            return;
        }

        ulong last = (touched.Last - Range.Start) / unit;
        for (ulong page = (touched.Start - Range.Start) / unit; page <= last; page++)
        {
            dirty[page / 64] |= 1ul << (int)(page % 64);
        }
    }

    public void MarkAllDirty() => Dirty?.AsSpan().Fill(ulong.MaxValue);

    /// <summary>What stays dirty after a report: a device may write pinned pages at any time.</summary>
    public void MarkPinsDirty(ulong unit)
    {
        foreach (ulong iova in Pins.Keys)
        {
            if (IovaRange.TryCreateInclusive(iova, iova, out IovaRange one))
            {
                MarkDirty(one, unit);
            }
        }
    }
}
