namespace Vfio.Run;

/// <summary>A set of pages of an address space. Not safe for concurrent use.</summary>
internal sealed class PageSet
{
    private const int WordPages = 64;
    private const int ChunkPages = 64 * WordPages;
    private readonly SortedDictionary<ulong, ulong[]> _chunks = [];

    /// <summary>Adds pages, or takes them out.</summary>
    /// <param name="first">The first one.</param>
    /// <param name="count">How many.</param>
    /// <param name="present">Whether they shall be in the set.</param>
    public void Set(ulong first, ulong count, bool present)
    {
        ulong end = first + count;
        while (first < end)
        {
            if (!_chunks.TryGetValue(first / ChunkPages, out ulong[]? words))
            {
                _chunks.Add(first / ChunkPages, words = new ulong[ChunkPages / WordPages]);
            }

            int bit = (int)(first % WordPages);
            int bits = (int)Math.Min((ulong)(WordPages - bit), end - first);
            ulong mask = (bits == WordPages ? ulong.MaxValue : (1ul << bits) - 1) << bit;
            ref ulong word = ref words[first % ChunkPages / WordPages];
            word = present ? word | mask : word & ~mask;
            if (word == 0 && !present && !words.AsSpan().ContainsAnyExcept(0ul))
            {
                _chunks.Remove(first / ChunkPages);
            }

            first += (ulong)bits;
        }
    }

    /// <summary>The runs of pages that are in the set, in order.</summary>
    public IEnumerable<(ulong First, ulong Count)> Runs()
    {
        ulong first = 0;
        ulong count = 0;
        foreach ((ulong chunk, ulong[] words) in _chunks)
        {
            for (int page = 0; page < ChunkPages; page++)
            {
                if ((words[page / WordPages] & (1ul << (page % WordPages))) == 0)
                {
                    continue;
                }

                ulong number = (chunk * ChunkPages) + (ulong)page;
                if (count > 0 && number == first + count)
                {
                    count++;
                    continue;
                }

                if (count > 0)
                {
                    yield return (first, count);
                }

                first = number;
                count = 1;
            }
        }

        if (count > 0)
        {
            yield return (first, count);
        }
    }
}
