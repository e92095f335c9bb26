using Vfio.Iommu;

namespace Vfio;

/// <summary>One translation: a page of the user's memory, and the registered block that it belongs to in version 2.</summary>
internal readonly record struct SpaprEntry(IUserMemory Memory, ulong Address, DmaAccess Access, SpaprMemoryBlock? Block);
