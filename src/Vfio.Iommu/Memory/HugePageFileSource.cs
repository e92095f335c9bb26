using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>
/// Memory of a file of huge pages that its owner may shrink: read by its descriptor, but hugetlbfs has no <c>write(2)</c>, so it is mapped as well, and the kernel copies
/// into the mapping (<see cref="MappingWriter"/>). Nothing here touches the mapping, which could raise SIGBUS.
/// </summary>
/// <param name="file">The memory by its descriptor; owned.</param>
/// <param name="window">A mapping of it; left with the source.</param>
internal sealed class HugePageFileSource(DescriptorMemorySource file, FileWindow window) : MemorySource
{
    public DescriptorMemorySource File => file;

    /// <inheritdoc/>
    public override ulong Length => file.Length;

    /// <inheritdoc/>
    public override bool IsWritable => file.IsWritable;

    /// <inheritdoc/>
    public override string Kind => file.Kind;

    /// <inheritdoc/>
    public override bool IsFile => true;

    /// <inheritdoc/>
    public override ulong PlacementHint(ulong offset) => file.PlacementHint(offset);

    /// <inheritdoc/>
    public override Errno Read(ulong offset, Span<byte> destination) => file.Read(offset, destination);

    /// <inheritdoc/>
    public override Errno Write(ulong offset, ReadOnlySpan<byte> source) => window.TryWrite(file.PlacementHint(offset), source);

    /// <inheritdoc/>
    protected internal override Errno PutInPlace(ulong page, ulong count) => file.PutInPlace(page, count);

    /// <inheritdoc/>
    protected override void Release()
    {
        window.Leave();
        file.RemoveReference();
    }
}
