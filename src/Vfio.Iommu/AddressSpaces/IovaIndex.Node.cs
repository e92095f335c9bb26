using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Vfio.Iommu;

internal sealed partial class IovaIndex
{
    /// <summary>Entries of a node: measured; wider ones are dearer to copy and no faster to search, although the tree is less high.</summary>
    private const int Width = 16;

    /// <summary>The slots of a node, inside it, so that a level costs a reader few cache lines and a writer one allocation.</summary>
    [InlineArray(Width)]
    private struct Slots<T>
    {
        private T _first;
    }

    /// <summary>A sorted run of ranges: of areas, or of what the nodes below cover. It does not change once others can see it.</summary>
    private abstract class Node
    {
        public Slots<ulong> Starts;
        public Slots<ulong> Lasts;

        protected Node() => ((Span<ulong>)Starts).Fill(ulong.MaxValue);

        protected Node(Node other)
        {
            Starts = other.Starts;
            Lasts = other.Lasts;
            Count = other.Count;
        }

        public int Count { get; protected set; }

        /// <summary>Length of the largest gap between two areas of the node.</summary>
        public abstract ulong LargestGap { get; }

        public ulong Start => Starts[0];

        public ulong Last => Lasts[Count - 1];

        /// <summary>The last entry that starts at or before an address, or −1: all are compared, so that no jump depends on what is found.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public int AtOrBelow(ulong iova)
        {
            // Slots that are not used have the highest address there is, which somebody may ask for.
            if (Vector512.IsHardwareAccelerated)
            {
                ReadOnlySpan<Vector512<ulong>> halves = MemoryMarshal.Cast<ulong, Vector512<ulong>>(Starts);
                Vector512<ulong> sought = Vector512.Create(iova);
                ulong below = Vector512.LessThanOrEqual(halves[0], sought).ExtractMostSignificantBits()
                    | (Vector512.LessThanOrEqual(halves[1], sought).ExtractMostSignificantBits() << Vector512<ulong>.Count);
                return Math.Min(BitOperations.PopCount(below), Count) - 1;
            }

            ReadOnlySpan<Vector256<ulong>> starts = MemoryMarshal.Cast<ulong, Vector256<ulong>>(Starts);
            Vector256<ulong> wanted = Vector256.Create(iova);

            // All ones, minus one as a number, where it holds.
            Vector256<ulong> above = Vector256.GreaterThan(starts[0], wanted)
                + Vector256.GreaterThan(starts[1], wanted)
                + Vector256.GreaterThan(starts[2], wanted)
                + Vector256.GreaterThan(starts[3], wanted);
            return Math.Min(Width + (int)Vector256.Sum(above), Count) - 1;
        }

        /// <summary>A copy with an area more, and what does not fit into it.</summary>
        /// <param name="isFirst">Whether no area of the index lies before the node; <paramref name="isLast"/> whether none lies behind.</param>
        /// <param name="right">The node that follows the one returned, or null.</param>
        public abstract Node Insert(IovaArea area, bool isFirst, bool isLast, out Node? right);

        /// <summary>A copy without the areas in a range; all, or those that a list names from a place on. Null when none is left.</summary>
        public abstract Node? Remove(IovaRange range, List<IovaArea>? only, ref int next);

        /// <summary>A copy with the entries of the next node behind its own.</summary>
        public abstract Node Join(Node next);

        /// <summary>Searches the gaps between <paramref name="from"/> and the node's last area; see <see cref="IovaIndex.TryFindGap"/>.</summary>
        /// <param name="from">Moved behind the node's last area when there is none.</param>
        /// <param name="ended">Set when the end of the part was reached.</param>
        public bool TryFindGap(ref ulong from, ulong last, ulong length, out IovaRange gap, ref bool ended)
        {
            Debug.Assert(from <= last && length > 0, "There is something to search, and for.");
            int at = AtOrBelow(from);
            for (at += at < 0 || Lasts[at] < from ? 1 : 0; at < Count; at++)
            {
                if (Starts[at] > from)
                {
                    ulong end = Math.Min(Starts[at] - 1, last);
                    if (end - from >= length - 1)
                    {
                        return IovaRange.TryCreateInclusive(from, end, out gap);
                    }
                }

                if (Lasts[at] >= last && (Starts[at] > last || !MayHoldGap(at, length)))
                {
                    break;
                }

                if (MayHoldGap(at, length))
                {
                    if (((Branch)this).Children[at].TryFindGap(ref from, last, length, out gap, ref ended))
                    {
                        return true;
                    }

                    if (ended)
                    {
                        return false;
                    }
                }
                else
                {
                    from = Lasts[at] + 1;
                }
            }

            ended = at < Count;
            gap = default;
            return false;
        }

        /// <summary>Whether there may be such a gap inside an entry.</summary>
        protected abstract bool MayHoldGap(int at, ulong length);

        protected static void OpenSlot<T>(Span<T> slots, int at, int count) => slots[at..count].CopyTo(slots[(at + 1)..]);

        protected static void CloseSlots<T>(Span<T> slots, int at, int removed, int count, T none)
        {
            slots[(at + removed)..count].CopyTo(slots[at..]);
            slots[(count - removed)..count].Fill(none);
        }

        protected ulong LargestGapBetweenEntries()
        {
            ulong largest = 0;
            for (int i = 1; i < Count; i++)
            {
                largest = Math.Max(largest, Starts[i] - Lasts[i - 1] - 1);
            }

            return largest;
        }
    }
}
