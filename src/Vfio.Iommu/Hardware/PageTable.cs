using System.Numerics;

namespace Vfio.Iommu;

/// <summary>
/// A page table: a tree of 512-entry tables over the whole address space, whose leaves lead to mappings. Readers walk it without a
/// lock; whoever changes it is alone.
/// </summary>
internal sealed class PageTable
{
    private const int LevelBits = 9;
    private const int Slots = 1 << LevelBits;
    private readonly int _shift;
    private readonly int _levels;
    private readonly Table _root = new();

    /// <summary>Makes an empty table.</summary>
    /// <param name="shift">Binary logarithm of the smallest page.</param>
    public PageTable(int shift)
    {
        _shift = shift;
        _levels = (64 - shift + LevelBits - 1) / LevelBits;
    }

    /// <summary>Walks to the mapping at an address, or null.</summary>
    public DomainMapping? Find(ulong iova)
    {
        Table table = _root;
        for (int level = _levels - 1; level >= 0; level--)
        {
            object? entry = Volatile.Read(ref table.Entries[Slot(iova, level)]);
            if (entry is Table next)
            {
                table = next;
                continue;
            }

            return (DomainMapping?)entry;
        }

        return null;
    }

    /// <summary>Writes the entries of a mapping; nothing may be mapped in its range.</summary>
    public void Insert(DomainMapping mapping)
    {
        for (ulong at = mapping.Range.Start; ;)
        {
            IovaRange entry = mapping.EntryAt(at);
            Write(entry, mapping);
            if (entry.Last >= mapping.Range.Last)
            {
                return;
            }

            at = entry.Last + 1;
        }
    }

    /// <summary>Takes the mappings of a range out, which it must cover wholly, and lists them in ascending order.</summary>
    public void Remove(IovaRange range, List<DomainMapping> removed) => Remove(_root, _levels - 1, 0, range, removed);

    /// <summary>Lists the mappings that share an address with a range, in ascending order.</summary>
    public void List(IovaRange range, List<DomainMapping> found) => List(_root, _levels - 1, 0, range, found);

    private int Slot(ulong iova, int level) => (int)(iova >> (_shift + (level * LevelBits))) & (Slots - 1);

    private void Write(IovaRange entry, DomainMapping mapping)
    {
        // The level whose slots are at most as large as the entry, which then fills one or more of them.
        int size = BitOperations.TrailingZeroCount(entry.Last - entry.Start + 1);
        int target = (size - _shift) / LevelBits;
        Table table = _root;
        for (int level = _levels - 1; level > target; level--)
        {
            ref object? place = ref table.Entries[Slot(entry.Start, level)];
            if (place is not Table next)
            {
                next = new Table();
                Volatile.Write(ref place, next);
                table.Used++;
            }

            table = next;
        }

        int first = Slot(entry.Start, target);
        int count = 1 << (size - _shift - (target * LevelBits));
        for (int i = 0; i < count; i++)
        {
            Volatile.Write(ref table.Entries[first + i], mapping);
        }

        table.Used += count;
    }

    private void Remove(Table table, int level, ulong start, IovaRange range, List<DomainMapping> removed)
    {
        (int first, int last) = SlotsOf(level, start, range);
        for (int slot = first; slot <= last; slot++)
        {
            ref object? place = ref table.Entries[slot];
            if (place is DomainMapping mapping)
            {
                Add(removed, mapping);
                Volatile.Write(ref place, null);
                table.Used--;
            }
            else if (place is Table next)
            {
                Remove(next, level - 1, SlotStart(level, start, slot), range, removed);
                if (next.Used == 0)
                {
                    Volatile.Write(ref place, null);
                    table.Used--;
                }
            }
        }
    }

    private void List(Table table, int level, ulong start, IovaRange range, List<DomainMapping> found)
    {
        (int first, int last) = SlotsOf(level, start, range);
        for (int slot = first; slot <= last; slot++)
        {
            object? entry = Volatile.Read(ref table.Entries[slot]);
            if (entry is DomainMapping mapping)
            {
                Add(found, mapping);
            }
            else if (entry is Table next)
            {
                List(next, level - 1, SlotStart(level, start, slot), range, found);
            }
        }
    }

    private static void Add(List<DomainMapping> list, DomainMapping mapping)
    {
        if (list.Count == 0 || !ReferenceEquals(list[^1], mapping))
        {
            list.Add(mapping);
        }
    }

    private ulong SlotStart(int level, ulong start, int slot) => start + ((ulong)slot << (_shift + (level * LevelBits)));

    /// <summary>The slots of a table that a range meets; none when it lies beside the table.</summary>
    private (int First, int Last) SlotsOf(int level, ulong start, IovaRange range)
    {
        int shift = _shift + (level * LevelBits);
        ulong last = Math.Min((ulong)Slots - 1, (ulong.MaxValue - start) >> shift);
        ulong from = range.Start <= start ? 0 : (range.Start - start) >> shift;
        ulong to = range.Last < start ? 0 : Math.Min(last, (range.Last - start) >> shift);
        return range.Last < start || from > last ? (0, -1) : ((int)from, (int)to);
    }

    private sealed class Table
    {
        public object?[] Entries { get; } = new object?[Slots];

        public int Used { get; set; }
    }
}
