using System.Diagnostics;
using Vfio.Abi;
using Vfio.TestUtilities;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>Look-ups that enter an address space once, and the unmaps that wait for them.</summary>
public sealed class DmaCursorTests
{
    private static DmaSpace Connect(IDmaPath? path)
    {
        DmaSpace dma = new();
        dma.Connect(path);
        return dma;
    }

    [Fact]
    public void Cursor_goes_from_place_to_place_and_allocates_nothing()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0x10000, 4 * P));
        Assert.Equal(Errno.None, f.Map(0x80000, 4 * P));
        f.Buffer.Span[10] = 99;
        DmaSpace dma = Connect(f.Access());
        bool right = true;
        long allocated = AllocationMeter.Measure(() =>
        {
            using DmaCursor cursor = dma.OpenCursor();
            foreach (ulong at in (ReadOnlySpan<ulong>)[0x1000A, 0x8000A, 0x8000A, 0x1000A])
            {
                right &= cursor.TryGet(at, 4, DmaAccess.Read, out Span<byte> memory) == Errno.None && memory.Length == 4 && memory[0] == 99;
            }
        });
        Assert.True(right);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void Cursor_refuses_as_a_window_does()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0x10000, 4 * P, DmaAccess.Read));
        Assert.Equal(Errno.None, f.Map(0x10000 + (4 * P), P));
        MemorySource copied = Memory(P);
        Assert.Equal(Errno.None, f.Ioas.MapFixed(0x80000, P, copied, 0, DmaAccess.ReadWrite));
        copied.RemoveReference();
        DmaSpace dma = Connect(f.Access());
        using DmaCursor cursor = dma.OpenCursor();
        foreach (bool found in (ReadOnlySpan<bool>)[false, true])
        {
            // Once without a last place, and once with one, which takes the short way.
            Assert.Equal(found ? Errno.None : Errno.ENOENT, cursor.TryGet(found ? 0x10000UL : 0, 1, DmaAccess.Read, out Span<byte> memory));
            Assert.Equal(Errno.EINVAL, cursor.TryGet(0x10000, 0, DmaAccess.Read, out memory));
            Assert.Equal(Errno.EINVAL, cursor.TryGet(0x10000, -1, DmaAccess.Read, out memory));
            Assert.Equal(Errno.EOVERFLOW, cursor.TryGet(Max, 2, DmaAccess.Read, out memory));
            Assert.Equal(Errno.EPERM, cursor.TryGet(0x10000, 1, DmaAccess.Write, out memory));
            Assert.Equal(Errno.EOPNOTSUPP, cursor.TryGet(0x10000 + (4 * P) - 1, 2, DmaAccess.Read, out memory));
            Assert.Equal(Errno.EOPNOTSUPP, cursor.TryGet(0x80000, 1, DmaAccess.Read, out memory));
            Assert.Equal(Errno.ENOENT, cursor.TryGet(0x70000, 1, DmaAccess.Read, out memory));
            Assert.True(memory.IsEmpty);
        }
    }

    [Fact]
    public void Cursor_of_a_device_without_address_space_tells_why()
    {
        using IommufdFixture f = new();
        using (DmaCursor unbound = Connect(null).OpenCursor())
        {
            Assert.Equal(Errno.EINVAL, unbound.TryGet(0, 1, DmaAccess.Read, out _));
        }

        using DmaCursor detached = Connect(f.Access(attach: false)).OpenCursor();
        Assert.Equal(Errno.ENOENT, detached.TryGet(0, 1, DmaAccess.Read, out _));
    }

    [Fact]
    public void Cursor_refuses_what_is_to_be_let_go_of_and_nothing_else()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, f.Map(P, P));
        IommufdAccess access = f.Access((_, _) => { });
        Assert.Equal(Errno.None, access.TryPin(0, P, DmaAccess.Read, out DmaPin? pin));
        DmaSpace dma = Connect(access);
        foreach (int round in (ReadOnlySpan<int>)[1, 2])
        {
            Assert.Equal(round == 2, f.Ioas.Map.IsRestricted);
            Errno expected = round == 1 ? Errno.None : Errno.EINVAL;
            using (DmaCursor cursor = dma.OpenCursor())
            {
                Assert.Equal(expected, cursor.TryGet(0, 8, DmaAccess.Read, out _));
                Assert.Equal(expected, cursor.TryGet(8, 8, DmaAccess.Read, out _));
                Assert.Equal(Errno.None, cursor.TryGet(P, 8, DmaAccess.Write, out _));
                Assert.Equal(Errno.None, cursor.TryGet(P + 8, 8, DmaAccess.Write, out _));
                Assert.Equal(expected, cursor.TryGet(0, 8, DmaAccess.Read, out _));
            }

            Assert.Equal(Errno.EDEADLK, f.Unmap(0, P, out _));
            Assert.True(f.Ioas.Map.IsRestricted);
        }

        pin!.Dispose();
        Assert.Equal(Errno.None, f.Unmap(0, P, out _));
        Assert.False(f.Ioas.Map.IsRestricted);
    }

    /// <summary>While domains show the areas, each is busy until it is made and from when it is unmade.</summary>
    [Fact]
    public void Nothing_stays_restricted_where_domains_show_the_areas()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, new SimulatedIommu().CreateDomain(DomainOptions.None, default, out IPagingDomain? domain));
        using IPagingDomain owned = domain!;
        Assert.Equal(Errno.None, f.Ioas.Map.AddDomain(domain!));
        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, f.Map(P, P));
        Assert.False(f.Ioas.Map.IsRestricted);
        DmaSpace dma = Connect(f.Access());
        using (DmaCursor cursor = dma.OpenCursor())
        {
            Assert.Equal(Errno.None, cursor.TryGet(0, 8, DmaAccess.Write, out _));
        }

        Assert.Equal(Errno.None, f.Unmap(0, P, out _));
        Assert.False(f.Ioas.Map.IsRestricted);
        using (DmaCursor cursor = dma.OpenCursor())
        {
            Assert.Equal(Errno.ENOENT, cursor.TryGet(0, 8, DmaAccess.Write, out _));
            Assert.Equal(Errno.None, cursor.TryGet(P, 8, DmaAccess.Write, out _));
        }

        f.Ioas.Map.RemoveDomain(domain!);
    }

    [Fact]
    public void Writes_are_logged_when_the_cursor_goes_on()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, 8 * P));
        DmaSpace dma = Connect(f.Access());
        Assert.True(dma.StartLog());
        using (DmaCursor cursor = dma.OpenCursor())
        {
            Assert.Equal(Errno.None, cursor.TryGet(P, 8, DmaAccess.Write, out _));
            Assert.Empty(Take(dma));
            Assert.Equal(Errno.None, cursor.TryGet(3 * P, 8, DmaAccess.ReadWrite, out _));
            Assert.Equal([P], Take(dma));
            Assert.Equal(Errno.None, cursor.TryGet(5 * P, 8, DmaAccess.Read, out _));
            Assert.Equal([3 * P], Take(dma));
            Assert.Equal(Errno.None, cursor.TryGet(7 * P, 8, DmaAccess.Write, out _));
        }

        Assert.Equal([7 * P], Take(dma));
    }

    [Fact]
    public async Task Unmap_waits_for_the_cursor_and_not_for_later_ones()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, f.Map(P, P));
        DmaSpace dma = Connect(f.Access());
        using ManualResetEventSlim inside = new();
        using ManualResetEventSlim leave = new();
        Task holder = Task.Factory.StartNew(
            () =>
            {
                using DmaCursor cursor = dma.OpenCursor();
                Assert.Equal(Errno.None, cursor.TryGet(0, 8, DmaAccess.Write, out Span<byte> memory));
                inside.Set();
                leave.Wait();
                memory.Fill(1);
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        inside.Wait(TestContext.Current.CancellationToken);
        Task<Errno> unmap = Task.Run(() => f.Unmap(0, P, out _), TestContext.Current.CancellationToken);

        // Others come and go meanwhile, and see that it is gone; the unmap waits for none of them.
        Stopwatch watch = Stopwatch.StartNew();
        bool gone = false;
        while (!gone || watch.ElapsedMilliseconds < 50)
        {
            using DmaCursor other = dma.OpenCursor();
            gone = other.TryGet(0, 8, DmaAccess.Read, out _) == Errno.ENOENT;
            Assert.Equal(Errno.None, other.TryGet(P, 8, DmaAccess.Read, out _));
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), "the area is still found");
        }

        Assert.False(unmap.IsCompleted);
        leave.Set();
        Assert.Equal(Errno.None, await unmap.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        await holder;
    }

    /// <summary>Two threads follow what a third maps and unmaps; whoever reads through a cursor after the unmap has returned sees poison.</summary>
    [Fact]
    public async Task No_cursor_sees_memory_after_its_unmap()
    {
        using IommufdFixture f = new();
        DmaSpace dma = Connect(f.Access());
        using CancellationTokenSource stop = new();
        TimeSpan time = ModelRun.IsLong ? TimeSpan.FromSeconds(60) : TimeSpan.FromSeconds(1);
        TimeSpan patience = time + TimeSpan.FromSeconds(60);
        Stopwatch watch = Stopwatch.StartNew();
        const int Areas = 8;
        long seen = 0;
        Task Reader(int seed) => Task.Factory.StartNew(
            () =>
            {
                Random random = new(seed);
                while (!stop.IsCancellationRequested)
                {
                    using DmaCursor cursor = dma.OpenCursor();
                    for (int i = 0; i < 64; i++)
                    {
                        Errno error = cursor.TryGet((ulong)random.Next(Areas) * P, 64, DmaAccess.Read, out Span<byte> memory);
                        if (error == Errno.None)
                        {
                            Assert.Equal(-1, memory.IndexOf((byte)0xDD));
                            seen++;
                        }
                        else
                        {
                            Assert.Equal(Errno.ENOENT, error);
                        }
                    }
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);

        Task first = Reader(1);
        Task second = Reader(2);
        Random order = new(3);

        // On a busy machine the readers may not have been there when something was mapped.
        while (watch.Elapsed < time || (Volatile.Read(ref seen) == 0 && watch.Elapsed < patience))
        {
            ulong page = (ulong)order.Next(Areas);
            f.Buffer.Span.Slice((int)(page * P), (int)P).Clear();
            MemorySource source = f.B(page * P, P);
            Assert.Equal(Errno.None, f.Ioas.MapFixed(page * P, P, source, 0, DmaAccess.Read));
            source.RemoveReference();
            Thread.SpinWait(order.Next(2000));
            Assert.Equal(Errno.None, f.Unmap(page * P, P, out _));
            f.Buffer.Span.Slice((int)(page * P), (int)P).Fill(0xDD);
        }

        await stop.CancelAsync();
        await first;
        await second;
        Assert.NotEqual(0, seen);
    }

    private static List<ulong> Take(DmaSpace dma)
    {
        List<ulong> pages = [];
        Assert.True(dma.TakeLog(IovaRange.All, run => pages.Add(run.Start)));
        return pages;
    }
}
