using Vfio.Iommu;

namespace Vfio;

/// <summary>A range of bus addresses and the table that translates it (<c>iommu_table</c>).</summary>
/// <remarks>Safe for concurrent use: devices look entries up while the user changes them. Its lock is a leaf.</remarks>
public sealed class SpaprWindow
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, SpaprEntry> _entries = [];

    internal SpaprWindow(ulong start, int pageShift, ulong size, uint levels, ulong tableSize)
    {
        Start = start;
        PageShift = pageShift;
        Size = size;
        Levels = levels;
        TableSize = tableSize;
    }

    /// <summary>First bus address.</summary>
    public ulong Start { get; }

    /// <summary>log₂ of the page size.</summary>
    public int PageShift { get; }

    /// <summary>Length in bytes.</summary>
    public ulong Size { get; }

    /// <summary>Levels of the table.</summary>
    public uint Levels { get; }

    /// <summary>Bytes that the table takes.</summary>
    public ulong TableSize { get; }

    /// <summary>Number of entries that are set.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _entries.Count;
            }
        }
    }

    internal ulong PageSize => 1ul << PageShift;

    /// <summary>Whether an address lies in the window.</summary>
    /// <param name="address">The bus address.</param>
    /// <returns>True when it does.</returns>
    public bool Contains(ulong address) => address >= Start && address - Start < Size;

    /// <summary>Translates an address as the hardware would.</summary>
    /// <param name="address">The bus address.</param>
    /// <param name="memory">Whose memory.</param>
    /// <param name="target">The user's address behind it.</param>
    /// <param name="access">What a device may do there.</param>
    /// <returns>False for an address without an entry.</returns>
    public bool TryTranslate(ulong address, out IUserMemory? memory, out ulong target, out DmaAccess access)
    {
        (memory, target, access) = (null, 0, DmaAccess.None);
        if (!Contains(address))
        {
            return false;
        }

        lock (_lock)
        {
            if (!_entries.TryGetValue((address - Start) >> PageShift, out SpaprEntry entry))
            {
                return false;
            }

            (memory, target, access) = (entry.Memory, entry.Address + (address & (PageSize - 1)), entry.Access);
            return true;
        }
    }

    /// <summary>Whether a range of pages lies in the window (<c>iommu_tce_check_ioba</c>).</summary>
    internal bool ContainsPages(ulong address, ulong size)
        => (address & (PageSize - 1)) == 0 && Contains(address) && size <= Size - (address - Start);

    /// <summary>Sets an entry and answers what it replaced.</summary>
    internal SpaprEntry? Exchange(ulong address, SpaprEntry entry)
    {
        ulong index = (address - Start) >> PageShift;
        lock (_lock)
        {
            SpaprEntry? old = _entries.TryGetValue(index, out SpaprEntry found) ? found : null;
            _entries[index] = entry;
            return old;
        }
    }

    /// <summary>Clears a range and answers what was there; takes no longer than there are entries.</summary>
    internal List<SpaprEntry> ClearRange(ulong address, ulong size)
    {
        ulong first = (address - Start) >> PageShift;
        ulong count = size >> PageShift;
        List<SpaprEntry> old = [];
        lock (_lock)
        {
            if (count <= (ulong)_entries.Count)
            {
                for (ulong i = 0; i < count; i++)
                {
                    Take(first + i);
                }
            }
            else
            {
                foreach (ulong index in (ulong[])[.. _entries.Keys.Where(index => index - first < count)])
                {
                    Take(index);
                }
            }
        }

        return old;

        void Take(ulong index)
        {
            if (_entries.Remove(index, out SpaprEntry entry))
            {
                old.Add(entry);
            }
        }
    }
}
