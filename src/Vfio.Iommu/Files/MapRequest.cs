using Vfio.Linux;

namespace Vfio;

/// <summary>A user's wish to map device memory.</summary>
/// <param name="Position">Position in the device file, page aligned.</param>
/// <param name="Length">Length in bytes, not zero.</param>
/// <param name="Protection">The access that the mapping allows.</param>
/// <param name="Shared">False for a private mapping, which PCI devices refuse.</param>
public readonly record struct MapRequest(ulong Position, ulong Length, MemoryProtection Protection, bool Shared = true);
