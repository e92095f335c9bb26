using Vfio.Abi;
using Vfio.TestUtilities;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>What a device's space tells of the pages that the device has written.</summary>
public sealed class DmaLogTests
{
    private const ulong Base = (1UL << 30) - (2 * P);

    private static DmaSpace Connect(IommufdAccess access)
    {
        DmaSpace dma = new();
        dma.Connect(access);
        return dma;
    }

    /// <summary>The pages of the area that are told, counted from <see cref="Base"/>.</summary>
    private static int[] Take(DmaSpace dma, ulong first = 0, ulong count = 8)
    {
        var pages = new List<int>();
        _ = IovaRange.TryCreate(Base + (first * P), count * P, out IovaRange range);
        Assert.True(dma.TakeLog(range, run =>
        {
            for (ulong page = run.Start / P; page <= run.Last / P; page++)
            {
                pages.Add((int)(page - (Base / P)));
            }
        }));
        return [.. pages.Distinct().Order()];
    }

    [Fact]
    public void Copies_and_windows_for_writing_are_told_once()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(Base, 8 * P));
        IommufdAccess access = f.Access();
        DmaSpace dma = Connect(access);
        byte[] bytes = new byte[P];
        Assert.Equal(Errno.None, dma.Write(Base, bytes));
        Assert.False(dma.IsLogging);
        Assert.True(dma.StartLog());
        Assert.False(dma.StartLog());

        // Over the end of a chunk of the log, which is at the third page.
        Assert.Equal(Errno.None, dma.Write(Base + P + 4000, bytes.AsSpan(0, 200)));
        Assert.Equal(Errno.None, dma.Write([new(Base + (4 * P), 1), new(Base + (6 * P), 1)], bytes.AsSpan(0, 2), out _));
        Assert.Equal(Errno.None, dma.Read(Base + (5 * P), bytes));
        Assert.Equal(Errno.None, dma.TryOpenWindow(Base + (7 * P), 16, DmaAccess.Write, out DmaWindow window));
        Assert.Equal([4, 6], Take(dma, first: 3));
        window.Dispose();
        Assert.Equal(Errno.None, dma.TryOpenWindow(Base + (3 * P), 16, DmaAccess.Read, out window));
        window.Dispose();

        Assert.Equal([1, 2, 7], Take(dma));
        Assert.Empty(Take(dma));
        Assert.True(dma.StopLog());
        Assert.False(dma.StopLog());
        Assert.False(dma.TakeLog(IovaRange.All, static _ => { }));
        access.Destroy();
    }

    [Fact]
    public void Lease_for_writing_is_told_each_time_and_once_more_when_it_has_ended()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(Base, 8 * P));
        IommufdAccess access = f.Access(static (_, _) => { });
        DmaSpace dma = Connect(access);
        Assert.Equal(Errno.None, dma.TryPin(Base + P, 2 * P, DmaAccess.ReadWrite, out DmaPin? written));
        Assert.Equal(Errno.None, dma.TryPin(Base + (5 * P), P, DmaAccess.Read, out DmaPin? read));
        Assert.True(dma.StartLog());

        Assert.Equal([1, 2], Take(dma));
        Assert.Equal([1, 2], Take(dma));
        Assert.Empty(Take(dma, first: 3));
        written!.Dispose();
        read!.Dispose();

        Assert.Equal([1, 2], Take(dma));
        Assert.Empty(Take(dma));
        access.Destroy();
    }

    [Fact]
    public void Last_page_of_all_addresses_can_be_told()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(ulong.MaxValue - P + 1, P));
        IommufdAccess access = f.Access();
        DmaSpace dma = Connect(access);
        Assert.True(dma.StartLog());

        Assert.Equal(Errno.None, dma.Write(ulong.MaxValue, [1]));

        var runs = new List<IovaRange>();
        Assert.True(dma.TakeLog(IovaRange.All, runs.Add));
        Assert.Equal((ulong.MaxValue - P + 1, ulong.MaxValue), (Assert.Single(runs).Start, runs[0].Last));
        access.Destroy();
    }

    [Fact]
    public void Writes_that_are_logged_again_allocate_nothing()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(Base, 8 * P));
        IommufdAccess access = f.Access();
        DmaSpace dma = Connect(access);
        byte[] bytes = new byte[5000];
        Assert.True(dma.StartLog());

        Assert.Equal(0, AllocationMeter.Measure(() => dma.Write(Base, bytes)));
        access.Destroy();
    }

    /// <summary>Each round a page changes while the log is read: it is in this report with its new content, or in the next.</summary>
    [Fact]
    public async Task Page_that_is_written_while_the_log_is_read_is_never_missed()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(Base, 8 * P));
        IommufdAccess access = f.Access();
        DmaSpace dma = Connect(access);
        Assert.True(dma.StartLog());
        byte[] copy = new byte[8 * P];
        bool ends = false;
        Task writer = Task.Run(() =>
        {
            var random = new Random(3);
            byte[] value = new byte[8];
            for (ulong round = 1; !Volatile.Read(ref ends); round++)
            {
                BitConverter.TryWriteBytes(value, round);
                _ = dma.Write(Base + ((ulong)random.Next(8) * P) + 16, value);
            }
        }, TestContext.Current.CancellationToken);
        for (int round = 0; round < 20_000; round++)
        {
            Copy();
        }

        Volatile.Write(ref ends, true);
        await writer;
        Copy();

        Assert.True(copy.AsSpan().SequenceEqual(f.Buffer.Span[..copy.Length]));
        access.Destroy();

        void Copy()
        {
            foreach (int page in Take(dma))
            {
                f.Buffer.Slice((nuint)page * (nuint)P, (int)P).CopyTo(copy.AsSpan(page * (int)P));
            }
        }
    }
}
