using System.Numerics;

namespace Vfio;

/// <summary>A block of a process's memory that it registered for use in containers of version 2 (<c>mm_iommu_table_group_mem_t</c>).</summary>
internal sealed class SpaprMemoryBlock(IUserMemory memory, ulong address, ulong size)
{
    private const int PageShift = 12;

    public IUserMemory Memory => memory;

    public ulong Address => address;

    public ulong Size => size;

    public long Pages => (long)(size >> PageShift);

    /// <summary>log₂ of the largest page that the whole block can consist of.</summary>
    public int BackingShift { get; } = BitOperations.TrailingZeroCount(address | size);

    /// <summary>Containers that registered it. Guarded by the registry's lock.</summary>
    public int Users { get; set; }

    /// <summary>Table entries that point into it. Guarded by the registry's lock.</summary>
    public long Mapped { get; set; }

    public bool Contains(ulong start, ulong length) => start >= address && length <= size && start - address <= size - length;

    public bool Overlaps(ulong start, ulong length) => start - address < size || address - start < length;
}
