using Vfio.Linux;

namespace Vfio;

/// <summary>Shared memory that stands for a range of a region.</summary>
/// <param name="Descriptor">The memory's descriptor, owned by the device.</param>
/// <param name="Offset">Where the range starts in the descriptor, page aligned.</param>
/// <param name="Length">Length in bytes.</param>
public readonly record struct MappableMemory(FileDescriptor Descriptor, ulong Offset, ulong Length)
{
    /// <summary>What keeps the memory's owner for as long as it is mapped; whoever maps it disposes it after the unmap. Null when nothing must be kept.</summary>
    public IDisposable? Lease { get; init; }
}
