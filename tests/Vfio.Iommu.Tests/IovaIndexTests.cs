using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>The index of areas against a sorted list, with enough areas for several levels.</summary>
public sealed class IovaIndexTests
{
    private const ulong Unit = 16;
    private const ulong Units = 4096;

    [Fact]
    public void Index_finds_walks_and_removes_as_a_sorted_list_does() => ModelRun.Check(
        static steps =>
        {
            using IommufdFixture f = new();
            MemorySource source = f.B();
            SortedList<ulong, IovaArea> model = [];
            IovaIndex index = IovaIndex.Empty;
            foreach (Step step in steps)
            {
                ulong at = (ulong)step.A % Units;
                int many = step.B % 300;
                switch (step.Kind % 4)
                {
                    case 0 or 1:
                        // Ascending, descending, or in a disorder that is the same each time.
                        for (int i = 0; i < many; i++)
                        {
                            ulong place = (step.C % 3) switch
                            {
                                0 => at + (ulong)i,
                                1 => at - (ulong)i,
                                _ => at + ((ulong)i * 1237),
                            } % Units;
                            Add((place * Unit) + ((ulong)i % 3), Unit - ((ulong)i % 7) - 3);
                        }

                        break;
                    case 2:
                        RemoveRun(at, many);
                        break;
                    default:
                        RemoveSome(at, many, (step.C % 5) + 2);
                        break;
                }

                Compare(at * Unit, (ulong)step.C % (Unit * 4));
            }

            Assert.Equal(model.Values, Walk(index.GetEnumerator()));
            source.RemoveReference();

            void Add(ulong start, ulong length)
            {
                IovaArea area = new(Range(start, length), source, 0, DmaAccess.Read);
                if (!model.Values.Any(other => other.Range.Overlaps(area.Range)))
                {
                    IovaIndex before = index;
                    index = index.Insert(area);
                    model.Add(start, area);
                    Assert.Equal(index.Count, before.Count + 1);
                    Assert.NotSame(area, before.Find(start));
                }
            }

            void RemoveRun(ulong at, int many)
            {
                List<IovaArea> run = [.. model.Values.SkipWhile(area => area.Range.Last < at * Unit).Take(many)];
                index = run.Count == 1 ? index.Remove(run[0]) : index.RemoveRun(run);
                run.ForEach(area => model.Remove(area.Range.Start));
            }

            void RemoveSome(ulong at, int many, int every)
            {
                List<IovaArea> some = [.. model.Values.SkipWhile(area => area.Range.Last < at * Unit).Where((_, i) => i % every == 0).Take(many)];
                index = index.Remove(some);
                some.ForEach(area => model.Remove(area.Range.Start));
            }

            void Compare(ulong iova, ulong length)
            {
                Assert.Equal(model.Count, index.Count);
                IovaArea? from = model.Values.FirstOrDefault(area => area.Range.Last >= iova);
                Assert.Same(from, index.FindFrom(iova));
                Assert.Same(from?.Range.Contains(iova) == true ? from : null, index.Find(iova));
                Assert.Equal(model.Values.SkipWhile(area => area.Range.Last < iova).Take(50), Walk(index.GetEnumeratorFrom(iova)).Take(50));
                ulong last = iova + (Unit * 700);
                bool expected = FindGap(model.Values, iova, last, length + 1, out IovaRange gap);
                Assert.Equal(expected, index.TryFindGap(iova, last, length + 1, out IovaRange found));
                Assert.Equal(gap, found);
            }
        },
        sequences: 25,
        steps: 60);

    [Fact]
    public void Both_ends_of_the_address_space_can_hold_an_area()
    {
        using IommufdFixture f = new();
        MemorySource source = f.B();
        IovaArea first = new(Range(0, 1), source, 0, DmaAccess.Read);
        IovaArea last = new(Range(Max, 1), source, 0, DmaAccess.Read);
        IovaIndex index = IovaIndex.Empty.Insert(last).Insert(first);
        Assert.Same(first, index.Find(0));
        Assert.Null(index.Find(1));
        Assert.Null(index.Find(Max - 1));
        Assert.Same(last, index.Find(Max));
        Assert.Same(last, index.FindFrom(1));
        Assert.True(index.TryFindGap(0, Max, 2, out IovaRange gap));
        Assert.Equal((1ul, Max - 1), (gap.Start, gap.Last));
        Assert.False(index.TryFindGap(0, Max, Max, out _));
        Assert.True(index.TryFindGap(5, 10, 6, out gap));
        Assert.Equal((5ul, 10ul), (gap.Start, gap.Last));
        Assert.False(index.TryFindGap(Max, Max, 1, out _));
        Assert.Same(IovaIndex.Empty, index.RemoveRun([first, last]));
        Assert.Same(last, index.Remove(first).FindFrom(0));
        source.RemoveReference();
    }

    [Fact]
    public void Sparse_nodes_are_joined_again()
    {
        using IommufdFixture f = new();
        MemorySource source = f.B();
        List<IovaArea> areas = [.. Enumerable.Range(0, 4096).Select(i => new IovaArea(Range((ulong)i * 2, 1), source, 0, DmaAccess.Read))];
        IovaIndex index = areas.Aggregate(IovaIndex.Empty, static (index, area) => index.Insert(area));
        int full = index.NodeCount;
        index = index.Remove([.. areas.Where(static (_, i) => i % 64 != 0)]);
        Assert.Equal(64, index.Count);
        Assert.True(index.NodeCount <= full / 8, $"{index.NodeCount} of {full} nodes hold 64 areas.");
        Assert.All(areas.Where(static (_, i) => i % 64 == 0), area => Assert.Same(area, index.Find(area.Range.Start)));
        source.RemoveReference();
    }

    /// <summary>The rule as it reads: each gap in turn.</summary>
    private static bool FindGap(IEnumerable<IovaArea> areas, ulong from, ulong last, ulong length, out IovaRange gap)
    {
        foreach (IovaArea area in areas.Where(area => area.Range.Last >= from && area.Range.Start <= last))
        {
            if (area.Range.Start > from && area.Range.Start - from >= length)
            {
                return IovaRange.TryCreateInclusive(from, area.Range.Start - 1, out gap);
            }

            from = area.Range.Last + 1;
        }

        gap = default;
        return from <= last && last - from >= length - 1 && IovaRange.TryCreateInclusive(from, last, out gap);
    }

    private static List<IovaArea> Walk(IovaIndex.Enumerator walk)
    {
        List<IovaArea> areas = [];
        while (walk.MoveNext())
        {
            areas.Add(walk.Current);
        }

        return areas;
    }
}
