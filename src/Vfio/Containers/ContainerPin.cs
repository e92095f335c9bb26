using Vfio.Iommu;

namespace Vfio;

/// <summary>A lease on pages of a container; neighbours in this process are one segment.</summary>
internal sealed class ContainerPin : DmaPin
{
    private readonly ContainerDmaPath _path;
    private readonly ulong _first;
    private readonly int _count;
    private readonly (nint Pointer, int Length)[] _segments;

    public ContainerPin(ContainerDmaPath path, IovaRange range, ulong first, PinnedPage[] pages)
        : base(range)
    {
        _path = path;
        _first = first;
        _count = pages.Length;
        List<(nint Pointer, int Length)> segments = [];
        for (int i = 0; i < pages.Length; i++)
        {
            int skip = i == 0 ? (int)(range.Start - first) : 0;
            int length = (int)Math.Min((ulong)(pages[i].Length - skip), range.Last - (first + ((ulong)i * (ulong)pages[i].Length) + (ulong)skip) + 1);
            nint pointer = pages[i].Pointer + skip;
            if (segments.Count > 0 && segments[^1].Pointer + segments[^1].Length == pointer && segments[^1].Length <= int.MaxValue - length)
            {
                segments[^1] = (segments[^1].Pointer, segments[^1].Length + length);
            }
            else
            {
                segments.Add((pointer, length));
            }
        }

        _segments = [.. segments];
    }

    public override int SegmentCount => _segments.Length;

    // SAFETY: every page's memory object vouches for the pointer for as long as the page is pinned, which it is until Release.
    protected override unsafe Span<byte> SegmentMemory(int index) => new((void*)_segments[index].Pointer, _segments[index].Length);

    protected override void Release() => _path.Unpin(_first, _count);
}
