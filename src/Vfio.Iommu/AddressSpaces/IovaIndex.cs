using System.Runtime.CompilerServices;

namespace Vfio.Iommu;

/// <summary>
/// An immutable ordered index of areas: a B+tree of which a change copies the nodes on one path, so that readers need no lock, writers do
/// not wait for them, and who holds an index holds a consistent view. What nobody holds any more the garbage collector takes.
/// </summary>
/// <remarks>Every node tells the largest gap below it, so that a search for free addresses leaves out whole subtrees.</remarks>
internal sealed partial class IovaIndex
{
    private readonly Node? _root;

    private IovaIndex(Node? root, int count)
    {
        _root = root;
        Count = count;
    }

    public static IovaIndex Empty { get; } = new(null, 0);

    public int Count { get; }

    /// <summary>Number of nodes: what the index costs.</summary>
    public int NodeCount => CountNodes(_root);

    /// <summary>The area that contains an address, or null.</summary>
    public IovaArea? Find(ulong iova)
    {
        if (FindLeaf(iova) is { } leaf)
        {
            int at = leaf.AtOrBelow(iova);
            if (at >= 0 && iova <= leaf.Lasts[at])
            {
                return leaf.Areas[at];
            }
        }

        return null;
    }

    /// <summary>Tells what can be reached by pointer in the area that contains an address or is the last below it, whoever is using it.</summary>
    public void FindMapped(ulong iova, ref MappedRange found)
    {
        found.Pointer = 0;
        if (FindLeaf(iova) is { } leaf)
        {
            leaf.Fetch();
            int at = leaf.AtOrBelow(iova);
            if (at >= 0)
            {
                leaf.Load(at, ref found);
            }
        }
    }

    /// <summary>The first area that ends at or after an address, or null.</summary>
    public IovaArea? FindFrom(ulong iova)
    {
        Enumerator walk = GetEnumeratorFrom(iova);
        return walk.MoveNext() ? walk.Current : null;
    }

    /// <summary>The first gap between areas that is long enough, in a part of the address space.</summary>
    /// <param name="from">Where the part starts.</param>
    /// <param name="last">Where it ends.</param>
    /// <param name="length">How long the gap must be at least; not 0.</param>
    /// <param name="gap">The gap, as far as it lies in the part.</param>
    /// <returns>False when there is none.</returns>
    public bool TryFindGap(ulong from, ulong last, ulong length, out IovaRange gap)
    {
        bool ended = false;
        gap = default;
        if (_root is not null && _root.TryFindGap(ref from, last, length, out gap, ref ended))
        {
            return true;
        }

        return !ended && last - from >= length - 1 && IovaRange.TryCreateInclusive(from, last, out gap);
    }

    public Enumerator GetEnumerator() => new(_root, null, -1);

    /// <summary>Walks the areas from the first one that ends at or after an address.</summary>
    public Enumerator GetEnumeratorFrom(ulong iova)
    {
        Node? node = _root;
        while (node is Branch branch)
        {
            node = branch.Children[Math.Max(branch.AtOrBelow(iova), 0)];
        }

        if (node is null)
        {
            return GetEnumerator();
        }

        int at = node.AtOrBelow(iova);
        return new Enumerator(_root, (Leaf)node, at >= 0 && node.Lasts[at] >= iova ? at - 1 : at);
    }

    /// <summary>Adds an area that overlaps none.</summary>
    public IovaIndex Insert(IovaArea area)
    {
        if (_root is null)
        {
            return new IovaIndex(new Leaf(area), 1);
        }

        Node left = _root.Insert(area, isFirst: true, isLast: true, out Node? right);
        return new IovaIndex(right is null ? left : new Branch(left, right), Count + 1);
    }

    /// <summary>Removes an area of the index.</summary>
    public IovaIndex Remove(IovaArea area)
    {
        int next = 0;
        return Rooted(_root!.Remove(area.Range, null, ref next), Count - 1);
    }

    /// <summary>Removes areas of the index that follow one another in it, given in ascending order.</summary>
    public IovaIndex RemoveRun(List<IovaArea> areas)
    {
        int next = 0;
        return areas.Count == 0 ? this : Rooted(_root!.Remove(Extent(areas), null, ref next), Count - areas.Count);
    }

    /// <summary>Removes areas of the index, given in ascending order; there may be others between them.</summary>
    public IovaIndex Remove(List<IovaArea> areas)
    {
        int next = 0;
        return areas.Count == 0 ? this : Rooted(_root!.Remove(Extent(areas), areas, ref next), Count - areas.Count);
    }

    /// <summary>The leaf that an address belongs into; null below all areas.</summary>
    private Leaf? FindLeaf(ulong iova)
    {
        Node? node = _root;
        while (node is Branch branch)
        {
            int at = branch.AtOrBelow(iova);
            node = at < 0 ? null : branch.Children[at];
        }

        // No node is anything else: what is known need not be checked in the way of every look-up.
        return Unsafe.As<Leaf?>(node);
    }

    private static int CountNodes(Node? node)
    {
        int count = node is null ? 0 : 1;
        for (int i = 0; node is Branch branch && i < branch.Count; i++)
        {
            count += CountNodes(branch.Children[i]);
        }

        return count;
    }

    private static IovaRange Extent(List<IovaArea> areas)
    {
        _ = IovaRange.TryCreateInclusive(areas[0].Range.Start, areas[^1].Range.Last, out IovaRange extent);
        return extent;
    }

    private static IovaIndex Rooted(Node? root, int count)
    {
        while (root is Branch { Count: 1 } branch)
        {
            root = branch.Children[0];
        }

        return root is null ? Empty : new IovaIndex(root, count);
    }
}
