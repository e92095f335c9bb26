using Vfio.Linux;

namespace Vfio;

/// <summary>Shared memory that stands for a range of a region.</summary>
/// <param name="Descriptor">The memory's descriptor, owned by the device.</param>
/// <param name="Offset">Where the range starts in the descriptor, page aligned.</param>
/// <param name="Length">Length in bytes.</param>
public readonly record struct MappableMemory(FileDescriptor Descriptor, ulong Offset, ulong Length);
