namespace Vfio.Pci;

/// <summary>Declares what a BAR holds, when that is more than one block of registers.</summary>
public sealed class PciBarBuilder
{
    internal PciBarBuilder(int index, PciBarKind kind, bool prefetchable, ulong size)
    {
        Index = index;
        Kind = kind;
        Prefetchable = prefetchable;
        Size = size;
    }

    internal int Index { get; }

    internal PciBarKind Kind { get; }

    internal bool Prefetchable { get; }

    internal ulong Size { get; set; }

    internal List<BarArea> Areas { get; } = [];

    /// <summary>Places registers.</summary>
    /// <param name="offset">Offset in the BAR, a multiple of eight.</param>
    /// <param name="block">The registers.</param>
    /// <returns>This builder.</returns>
    public PciBarBuilder Registers(ulong offset, RegisterBlock block)
    {
        ArgumentNullException.ThrowIfNull(block);
        Areas.Add(new BarArea { Offset = offset, Length = block.Size, Block = block });
        return this;
    }

    /// <summary>Places shared memory, which users map.</summary>
    /// <param name="offset">Offset in the BAR, a multiple of the page size.</param>
    /// <param name="memory">The memory; the device disposes it.</param>
    /// <param name="written">
    /// Called after each write that reached the device as an access of the region, on any thread and with no lock held: the one kind of store into the
    /// memory that announces itself. Must not block.
    /// </param>
    /// <returns>This builder.</returns>
    public PciBarBuilder Memory(ulong offset, BarMemory memory, Action? written = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        Areas.Add(new BarArea { Offset = offset, Length = memory.Size, Memory = memory, Written = written });
        return this;
    }
}
