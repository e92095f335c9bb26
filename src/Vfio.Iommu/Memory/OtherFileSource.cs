using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A part of a file that is no memory: it can be given to IOAS_MAP_FILE, and is EINVAL when it is needed (spec iommufd §2.7).</summary>
internal sealed class OtherFileSource(ulong start, ulong length, bool writable) : MemorySource
{
    public override ulong Length => length;

    public override bool IsWritable => writable;

    public override string Kind => "other file";

    public override bool IsFile => true;

    public override ulong PlacementHint(ulong offset) => start + offset;

    public override Errno Read(ulong offset, Span<byte> destination) => Errno.EINVAL;

    public override Errno Write(ulong offset, ReadOnlySpan<byte> source) => Errno.EINVAL;

    protected internal override Errno PutInPlace(ulong page, ulong count) => Errno.EINVAL;

    protected override void Release()
    {
    }
}
