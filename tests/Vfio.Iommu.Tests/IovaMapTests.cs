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
