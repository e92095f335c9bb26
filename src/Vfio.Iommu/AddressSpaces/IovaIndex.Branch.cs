namespace Vfio.Iommu;

internal sealed partial class IovaIndex
{
    /// <summary>A node of nodes; all leaves are equally far below.</summary>
    private sealed class Branch : Node
    {
        public Slots<Node> Children;
        private Slots<ulong> _gaps;

        public Branch(Node first, Node? second = null)
        {
            Place(0, first);
            if (second is not null)
            {
                Place(1, second);
            }
        }

        private Branch(Branch other)
            : base(other)
        {
            Children = other.Children;
            _gaps = other._gaps;
        }

        public override ulong LargestGap
        {
            get
            {
                ulong largest = LargestGapBetweenEntries();
                for (int i = 0; i < Count; i++)
                {
                    largest = Math.Max(largest, _gaps[i]);
                }

                return largest;
            }
        }

        public override Node Insert(IovaArea area, bool isFirst, bool isLast, out Node? right)
        {
            int at = Math.Max(AtOrBelow(area.Range.Start), 0);
            isFirst &= at == 0;
            isLast &= at == Count - 1;
            Branch copy = new(this);
            copy.Set(at, Children[at].Insert(area, isFirst, isLast, out Node? split));
            right = null;
            if (split is null)
            {
                return copy;
            }

            if (Count < Width)
            {
                copy.Place(at + 1, split);
                return copy;
            }

            if (isLast)
            {
                right = new Branch(split);
                return copy;
            }

            if (isFirst)
            {
                Branch before = new(copy.Children[0]);
                copy.Set(0, split);
                right = copy;
                return before;
            }

            const int Half = Width / 2;
            Branch upper = new(copy);
            copy.Cut(Half, Count - Half);
            upper.Cut(0, Half);
            if (at < Half)
            {
                copy.Place(at + 1, split);
            }
            else
            {
                upper.Place(at + 1 - Half, split);
            }

            right = upper;
            return copy;
        }

        public override Node? Remove(IovaRange range, List<IovaArea>? only, ref int next)
        {
            int from = Math.Max(AtOrBelow(range.Start), 0);
            int end = AtOrBelow(range.Last) + 1;
            Branch copy = new(this);
            int at = from;
            for (int i = from; i < end; i++)
            {
                bool whole = only is null && Starts[i] >= range.Start && Lasts[i] <= range.Last;
                Node? child = whole ? null : Children[i].Remove(range, only, ref next);
                if (child is null)
                {
                    copy.Cut(at, 1);
                    continue;
                }

                copy.Set(at, child);
                at++;
            }

            for (int i = Math.Max(from - 1, 0); i < at && i < copy.Count; i++)
            {
                copy.JoinIfSmall(i);
            }

            return copy.Count == 0 ? null : copy;
        }

        public override Node Join(Node next)
        {
            Branch copy = new(this);
            Branch other = (Branch)next;
            for (int i = 0; i < other.Count; i++)
            {
                copy.Place(copy.Count, other.Children[i]);
            }

            return copy;
        }

        protected override bool MayHoldGap(int at, ulong length) => _gaps[at] >= length;

        /// <summary>Joins a child with the next one while one of them is nearly empty and both together are not full again.</summary>
        private void JoinIfSmall(int at)
        {
            const int Small = Width / 4;
            while (at + 1 < Count
                && (Children[at].Count < Small || Children[at + 1].Count < Small)
                && Children[at].Count + Children[at + 1].Count <= Width / 2)
            {
                Set(at, Children[at].Join(Children[at + 1]));
                Cut(at + 1, 1);
            }
        }

        private void Set(int at, Node child)
        {
            Starts[at] = child.Start;
            Lasts[at] = child.Last;
            _gaps[at] = child.LargestGap;
            Children[at] = child;
        }

        private void Place(int at, Node child)
        {
            OpenSlot<ulong>(Starts, at, Count);
            OpenSlot<ulong>(Lasts, at, Count);
            OpenSlot<ulong>(_gaps, at, Count);
            OpenSlot<Node>(Children, at, Count);
            Count++;
            Set(at, child);
        }

        private void Cut(int at, int removed)
        {
            CloseSlots<ulong>(Starts, at, removed, Count, ulong.MaxValue);
            CloseSlots<ulong>(Lasts, at, removed, Count, 0);
            CloseSlots<ulong>(_gaps, at, removed, Count, 0);
            CloseSlots<Node>(Children, at, removed, Count, null!);
            Count -= removed;
        }
    }
}
