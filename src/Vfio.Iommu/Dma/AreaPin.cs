namespace Vfio.Iommu;

/// <summary>A lease on areas of an iommufd address space.</summary>
internal sealed class AreaPin : DmaPin
{
    private readonly IovaMap _map;
    private readonly DmaPinSegment[] _segments;

    public AreaPin(IovaMap map, IovaRange range, DmaPinSegment[] segments)
        : base(range)
    {
        _map = map;
        _segments = segments;
    }

    /// <summary>The pieces, in the order of their addresses.</summary>
    public IReadOnlyList<DmaPinSegment> Segments => _segments;

    public override int SegmentCount => _segments.Length;

    // SAFETY: the pin count of the area and the reference on its source keep the memory mapped until Release.
    protected override unsafe Span<byte> SegmentMemory(int index)
        => new((void*)_segments[index].Pointer, checked((int)_segments[index].Length));

    protected override void Release() => _map.Unpin(_segments, locks: false);
}
