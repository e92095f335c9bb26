using System.Diagnostics;
using Vfio.Abi;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>Many areas, and readers against writers.</summary>
public sealed class IovaMapTests
{
    [Fact]
    public void Many_areas_ascending_and_descending_are_all_found()
    {
        using IommufdFixture f = new();
        MemorySource source = f.B();
        const int Count = 5000;
        for (ulong i = 0; i < Count; i++)
        {
            Assert.Equal(Errno.None, f.Ioas.MapFixed((Count + i) * 2, 1, source, i, DmaAccess.Read));
            Assert.Equal(Errno.None, f.Ioas.MapFixed((Count - i - 1) * 2, 1, source, i, DmaAccess.Read));
        }

        for (ulong i = 0; i < 2 * Count; i++)
        {
            Assert.True(f.Ioas.TryGetArea(i * 2, out IovaRange area));
            Assert.Equal(i * 2, area.Start);
            Assert.False(f.Ioas.TryGetArea((i * 2) + 1, out _));
        }

        Assert.Equal(Errno.None, f.Ioas.Unmap(IovaRange.All, out ulong unmapped));
        Assert.Equal(2ul * Count, unmapped);
        source.RemoveReference();
    }

    [Fact]
    public void Lookup_and_transfers_among_many_areas_allocate_nothing()
    {
        using IommufdFixture f = new();
        const ulong Count = 2000;
        for (ulong i = 0; i < Count; i++)
        {
            Assert.Equal(Errno.None, f.Map(i * 2 * P, P));
        }

        IommufdAccess access = f.Access();
        DmaSpace dma = new();
        dma.Connect(access);
        byte[] bytes = new byte[64];
        ulong at = 0;
        bool right = true;
        Assert.Equal(0, AllocationMeter.Measure(() =>
        {
            at = (at + 771) % Count;
            right &= f.Ioas.TryGetArea(at * 2 * P, out IovaRange area) && area.Start == at * 2 * P;
            right &= dma.Read((at * 2 * P) + 5, bytes) == Errno.None && dma.Write((at * 2 * P) + 5, bytes) == Errno.None;
            right &= dma.Read(((at * 2) + 1) * P, bytes) == Errno.ENOENT;
        }));
        Assert.True(right);
        access.Destroy();
    }

    [Fact]
    public void Transfer_goes_to_the_memory_that_is_mapped_now_and_not_to_that_of_the_last_transfer()
    {
        using IommufdFixture f = new();
        f.Buffer.Span[0] = 1;
        f.Buffer.Span[(int)P] = 2;
        IommufdAccess access = f.Access();
        byte[] one = new byte[1];
        for (byte round = 1; round <= 2; round++)
        {
            MemorySource source = f.B((ulong)(round - 1) * P);
            Assert.Equal(Errno.None, f.Ioas.MapFixed(P, P, source, 0, DmaAccess.Read));
            source.RemoveReference();
            Assert.Equal(Errno.None, access.Read(P, one));
            Assert.Equal(round, one[0]);
            Assert.Equal(Errno.EPERM, access.Write(P, one));
            Assert.Equal(Errno.None, f.Unmap(P, P, out _));
            Assert.Equal(Errno.ENOENT, access.Read(P, one));
        }

        // Cut in two, and one part gone.
        Assert.Equal(Errno.None, f.Map(P, 2 * P));
        Assert.Equal(Errno.None, access.Read(P, one));
        Assert.Equal(Errno.None, f.Ioas.Map.CutBehind((2 * P) - 1));
        Assert.Equal(Errno.None, f.Unmap(P, P, out _));
        Assert.Equal(Errno.ENOENT, access.Read(P, one));
        Assert.Equal(Errno.None, access.Read(2 * P, one));
        Assert.Equal(Errno.None, f.Unmap(2 * P, P, out _));
        Assert.Equal(Errno.ENOENT, access.Read(2 * P, one));
        access.Destroy();
    }

    [Fact]
    public async Task Readers_never_touch_memory_after_its_unmap_returned()
    {
        using IommufdFixture f = new();
        IommufdAccess access = f.Access();
        using CancellationTokenSource stop = new();
        long transfers = 0;
        Task[] readers = [.. Enumerable.Range(0, 2).Select(_ => Task.Factory.StartNew(
            () =>
            {
                byte[] buffer = new byte[64];
                while (!stop.IsCancellationRequested)
                {
                    Errno error = access.Read(0x10000, buffer);
                    Assert.True(error is Errno.None or Errno.ENOENT, $"{error}");
                    if (error == Errno.None)
                    {
                        Interlocked.Increment(ref transfers);
                    }
                }
            },
            TaskCreationOptions.LongRunning))];
        Stopwatch watch = Stopwatch.StartNew();
        for (int i = 0; (i < 3000 || Interlocked.Read(ref transfers) < 200) && watch.Elapsed < TimeSpan.FromSeconds(30); i++)
        {
            GuardedSource source = new();
            Assert.Equal(Errno.None, f.Ioas.MapFixed(0x10000, 64, source, 0, DmaAccess.Read));
            source.RemoveReference();
            if (i % 16 == 0)
            {
                await Task.Yield();
            }

            Assert.Equal(Errno.None, f.Unmap(0x10000, 64, out _));
            Assert.True(source.Released);
            Assert.Equal(0, source.Late);
        }

        await stop.CancelAsync();
        await Task.WhenAll(readers);
        Assert.True(transfers >= 200, $"Only {transfers} transfers met the unmaps.");
        access.Destroy();
    }

    private sealed class GuardedSource : MemorySource
    {
        private int _late;

        public bool Released { get; private set; }

        public int Late => _late;

        public override ulong Length => 64;

        public override bool IsWritable => true;

        public override string Kind => "guarded";

        public override Errno Read(ulong offset, Span<byte> destination)
        {
            Thread.SpinWait(20);
            if (Released)
            {
                Interlocked.Increment(ref _late);
            }

            return Errno.None;
        }

        public override Errno Write(ulong offset, ReadOnlySpan<byte> source) => Errno.None;

        protected override void Release() => Released = true;
    }
}
