using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>The DMA of a device that was opened through a container: a group device's goes through its page table, others' by the container's software.</summary>
/// <remarks>Pins go by the container for both, as <c>vfio_pin_pages</c> does.</remarks>
internal sealed class ContainerDmaPath(VfioGroup group, VfioIommu iommu, bool canPin) : IDmaPath
{
    private const ulong PageSize = 4096;
    private readonly GroupDmaPath? _hardware = group.Type == VfioGroupType.Iommu && iommu is Type1Iommu ? new GroupDmaPath(group.IommuGroup) : null;

    public bool IsAttached => iommu.CanAccessMemory;

    public Errno Read(ulong iova, Span<byte> destination)
        => destination.IsEmpty ? Errno.EINVAL : _hardware?.Read(iova, destination) ?? iommu.Read(iova, destination);

    public Errno Write(ulong iova, ReadOnlySpan<byte> source)
        => source.IsEmpty ? Errno.EINVAL : _hardware?.Write(iova, source) ?? iommu.Write(iova, source);

    /// <summary>Only through a page table: without, the IOMMU's lock would have to be held for as long as the window is open.</summary>
    public Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out DmaWindow window)
    {
        window = default;
        return length <= 0 ? Errno.EINVAL : _hardware?.TryOpenWindow(iova, length, access, out window) ?? Errno.EOPNOTSUPP;
    }

    public Errno TryPin(ulong iova, ulong length, DmaAccess access, out DmaPin? pin)
    {
        pin = null;
        if (!canPin || length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, length, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        ulong first = iova & ~(PageSize - 1);
        ulong count = (range.Last / PageSize) - (iova / PageSize) + 1;
        const int Maximum = 1 << 24; // 64 GiB in one lease.
        if (count > Maximum)
        {
            return Errno.ENOMEM;
        }

        PinnedPage?[] pages = new PinnedPage?[count];
        int done = 0;
        while (done < pages.Length)
        {
            int some = Math.Min(pages.Length - done, VfioContainer.MaximumPinnedPages);
            Errno error = iommu.PinPages(group, first + ((ulong)done * PageSize), access, pages.AsSpan(done, some));
            if (error == Errno.None && Array.Exists(pages[done..(done + some)], static page => page!.Pointer == 0))
            {
                done += some;
                error = Errno.EOPNOTSUPP;
            }

            if (error != Errno.None)
            {
                Unpin(first, done);
                return error;
            }

            done += some;
        }

        pin = new ContainerPin(this, range, first, pages!);
        return Errno.None;
    }

    public void Unpin(ulong first, int count)
    {
        for (int done = 0; done < count; done += VfioContainer.MaximumPinnedPages)
        {
            iommu.UnpinPages(first + ((ulong)done * PageSize), Math.Min(count - done, VfioContainer.MaximumPinnedPages));
        }
    }
}
