namespace Vfio.Iommu;

/// <summary>
/// An immutable ordered index of areas in two levels: a top array of chunks, each a short sorted array. A change copies one chunk and
/// the top array, so that readers need no lock and writers do not wait for them.
/// </summary>
internal sealed class IovaIndex
{
    private const int MaximumChunk = 256;
    private readonly ulong[] _starts;
    private readonly Chunk[] _chunks;

    private IovaIndex(ulong[] starts, Chunk[] chunks, int count)
    {
        _starts = starts;
        _chunks = chunks;
        Count = count;
    }

    public static IovaIndex Empty { get; } = new([], [], 0);

    public int Count { get; }

    /// <summary>The area that contains an address, or null.</summary>
    public IovaArea? Find(ulong iova)
    {
        IovaArea? area = FindAtOrBefore(iova);
        return area is not null && iova <= area.Range.Last ? area : null;
    }

    /// <summary>The first area that ends at or after an address, or null.</summary>
    public IovaArea? FindFrom(ulong iova)
    {
        (int chunk, int slot) = Position(iova);
        if (chunk >= 0 && _chunks[chunk].Areas[slot].Range.Last >= iova)
        {
            return _chunks[chunk].Areas[slot];
        }

        if (chunk < 0)
        {
            return Count == 0 ? null : _chunks[0].Areas[0];
        }

        if (slot + 1 < _chunks[chunk].Areas.Length)
        {
            return _chunks[chunk].Areas[slot + 1];
        }

        return chunk + 1 < _chunks.Length ? _chunks[chunk + 1].Areas[0] : null;
    }

    public Enumerator GetEnumerator() => new(this, 0, -1);

    /// <summary>Walks the areas from the first one that ends at or after an address.</summary>
    public Enumerator GetEnumeratorFrom(ulong iova)
    {
        (int chunk, int slot) = Position(iova);
        return chunk < 0 ? GetEnumerator()
            : new Enumerator(this, chunk, _chunks[chunk].Areas[slot].Range.Last >= iova ? slot - 1 : slot);
    }

    public IovaIndex Insert(IovaArea area)
    {
        if (Count == 0)
        {
            return new IovaIndex([area.Range.Start], [new Chunk([area.Range.Start], [area])], 1);
        }

        (int chunk, int slot) = Position(area.Range.Start);
        int target = Math.Max(chunk, 0);
        int at = chunk < 0 ? 0 : slot + 1;
        Chunk old = _chunks[target];
        if (old.Areas.Length < MaximumChunk)
        {
            return Replace(target, old.Insert(at, area), Count + 1);
        }

        (Chunk left, Chunk right) = old.Insert(at, area).Split(area, at == old.Areas.Length && target == _chunks.Length - 1);
        Chunk[] chunks = new Chunk[_chunks.Length + 1];
        Array.Copy(_chunks, chunks, target);
        chunks[target] = left;
        chunks[target + 1] = right;
        Array.Copy(_chunks, target + 1, chunks, target + 2, _chunks.Length - target - 1);
        return Build(chunks, Count + 1);
    }

    /// <summary>Removes the areas from <paramref name="first"/> to <paramref name="last"/>, both of which are in the index, and all between.</summary>
    public IovaIndex Remove(IovaArea first, IovaArea last)
    {
        (int firstChunk, int firstSlot) = Position(first.Range.Start);
        (int lastChunk, int lastSlot) = Position(last.Range.Start);
        List<Chunk> chunks = new(_chunks.Length);
        int removed = 0;
        for (int i = 0; i < _chunks.Length; i++)
        {
            if (i < firstChunk || i > lastChunk)
            {
                chunks.Add(_chunks[i]);
                continue;
            }

            int from = i == firstChunk ? firstSlot : 0;
            int to = i == lastChunk ? lastSlot : _chunks[i].Areas.Length - 1;
            removed += to - from + 1;
            if (_chunks[i].Areas.Length > to - from + 1)
            {
                chunks.Add(_chunks[i].Remove(from, to - from + 1));
            }
        }

        return chunks.Count == 0 ? Empty : Build([.. chunks], Count - removed);
    }

    /// <summary>Removes areas of the index, given in ascending order.</summary>
    public IovaIndex Remove(List<IovaArea> areas)
    {
        if (areas.Count == 0)
        {
            return this;
        }

        List<Chunk> chunks = new(_chunks.Length);
        int next = 0;
        foreach (Chunk chunk in _chunks)
        {
            Chunk left = next < areas.Count && areas[next].Range.Start <= chunk.Starts[^1] ? chunk.Remove(areas, ref next) : chunk;
            if (left.Areas.Length > 0)
            {
                chunks.Add(left);
            }
        }

        return chunks.Count == 0 ? Empty : Build([.. chunks], Count - areas.Count);
    }

    private static IovaIndex Build(Chunk[] chunks, int count)
    {
        ulong[] starts = new ulong[chunks.Length];
        for (int i = 0; i < chunks.Length; i++)
        {
            starts[i] = chunks[i].Starts[0];
        }

        return new IovaIndex(starts, chunks, count);
    }

    private IovaIndex Replace(int index, Chunk chunk, int count)
    {
        Chunk[] chunks = [.. _chunks];
        chunks[index] = chunk;
        ulong[] starts = [.. _starts];
        starts[index] = chunk.Starts[0];
        return new IovaIndex(starts, chunks, count);
    }

    private IovaArea? FindAtOrBefore(ulong iova)
    {
        (int chunk, int slot) = Position(iova);
        return chunk < 0 ? null : _chunks[chunk].Areas[slot];
    }

    /// <summary>Where the last area stands that starts at or before an address; chunk −1 when there is none.</summary>
    private (int Chunk, int Slot) Position(ulong iova)
    {
        int chunk = LastAtOrBelow(_starts, iova);
        return chunk < 0 ? (-1, -1) : (chunk, LastAtOrBelow(_chunks[chunk].Starts, iova));
    }

    private static int LastAtOrBelow(ulong[] starts, ulong iova)
    {
        int low = 0;
        int high = starts.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            if (starts[middle] <= iova)
            {
                low = middle + 1;
            }
            else
            {
                high = middle - 1;
            }
        }

        return high;
    }

    /// <summary>Walks the areas in ascending order.</summary>
    public struct Enumerator(IovaIndex index, int chunk, int before)
    {
        private int _chunk = chunk;
        private int _slot = before;

        public readonly IovaArea Current => index._chunks[_chunk].Areas[_slot];

        public bool MoveNext()
        {
            if (_chunk >= index._chunks.Length)
            {
                return false;
            }

            if (++_slot < index._chunks[_chunk].Areas.Length)
            {
                return true;
            }

            _chunk++;
            _slot = 0;
            return _chunk < index._chunks.Length;
        }
    }

    /// <summary>A short sorted run of areas; the starts are kept apart so that a search touches few cache lines.</summary>
    private sealed class Chunk(ulong[] starts, IovaArea[] areas)
    {
        public ulong[] Starts { get; } = starts;

        public IovaArea[] Areas { get; } = areas;

        public Chunk Insert(int at, IovaArea area)
        {
            ulong[] starts = new ulong[Starts.Length + 1];
            IovaArea[] areas = new IovaArea[Areas.Length + 1];
            Array.Copy(Starts, starts, at);
            Array.Copy(Areas, areas, at);
            starts[at] = area.Range.Start;
            areas[at] = area;
            Array.Copy(Starts, at, starts, at + 1, Starts.Length - at);
            Array.Copy(Areas, at, areas, at + 1, Areas.Length - at);
            return new Chunk(starts, areas);
        }

        public Chunk Remove(int from, int count)
        {
            ulong[] starts = new ulong[Starts.Length - count];
            IovaArea[] areas = new IovaArea[Areas.Length - count];
            Array.Copy(Starts, starts, from);
            Array.Copy(Areas, areas, from);
            Array.Copy(Starts, from + count, starts, from, Starts.Length - from - count);
            Array.Copy(Areas, from + count, areas, from, Areas.Length - from - count);
            return new Chunk(starts, areas);
        }

        /// <summary>The chunk without those of its areas that a list, in ascending order, names from a place on.</summary>
        public Chunk Remove(List<IovaArea> areas, ref int next)
        {
            List<IovaArea> left = new(Areas.Length);
            foreach (IovaArea area in Areas)
            {
                if (next < areas.Count && ReferenceEquals(areas[next], area))
                {
                    next++;
                }
                else
                {
                    left.Add(area);
                }
            }

            return new Chunk([.. left.Select(static area => area.Range.Start)], [.. left]);
        }

        /// <summary>Cuts in two: in the middle, or just before the newest one when areas arrive in ascending order.</summary>
        public (Chunk Left, Chunk Right) Split(IovaArea newest, bool ascending)
        {
            int cut = ascending ? Array.IndexOf(Areas, newest) : Areas.Length / 2;
            return (new Chunk(Starts[..cut], Areas[..cut]), new Chunk(Starts[cut..], Areas[cut..]));
        }
    }
}
