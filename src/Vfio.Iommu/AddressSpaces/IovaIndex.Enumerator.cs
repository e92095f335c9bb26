namespace Vfio.Iommu;

internal sealed partial class IovaIndex
{
    /// <summary>Walks the areas in ascending order.</summary>
    public struct Enumerator
    {
        private readonly Node? _root;
        private Leaf? _leaf;
        private int _slot;

        /// <param name="root">The index's root.</param>
        /// <param name="leaf">Where to begin; null for the first leaf.</param>
        /// <param name="before">The slot before the first one.</param>
        internal Enumerator(object? root, object? leaf, int before)
        {
            _root = (Node?)root;
            _leaf = (Leaf?)leaf ?? FirstLeaf(_root);
            _slot = before;
        }

        public readonly IovaArea Current => _leaf!.Areas[_slot];

        public bool MoveNext()
        {
            if (_leaf is null)
            {
                return false;
            }

            if (++_slot < _leaf.Count)
            {
                return true;
            }

            _leaf = NextLeaf();
            _slot = 0;
            return _leaf is not null;
        }

        private readonly Leaf? NextLeaf()
        {
            ulong here = _leaf!.Start;
            Node? next = null;
            for (Node? node = _root; node is Branch branch;)
            {
                int at = branch.AtOrBelow(here);
                next = at + 1 < branch.Count ? branch.Children[at + 1] : next;
                node = branch.Children[at];
            }

            return FirstLeaf(next);
        }

        private static Leaf? FirstLeaf(Node? node)
        {
            while (node is Branch branch)
            {
                node = branch.Children[0];
            }

            return (Leaf?)node;
        }
    }
}
