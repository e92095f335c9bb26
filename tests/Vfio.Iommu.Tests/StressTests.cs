using System.Diagnostics;
using System.Runtime.InteropServices;
using Vfio.Abi;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>Two threads map and unmap while two copy and two pin, for a second; for a minute in the long mode.</summary>
public sealed class StressTests
{
    private const int Pages = 64;
    private const byte Poison = 0xDD;

    [Fact]
    public async Task No_torn_read_and_no_use_after_unmap()
    {
        using IommufdFixture f = new();
        TimeSpan time = ModelRun.IsLong ? TimeSpan.FromSeconds(60) : TimeSpan.FromSeconds(1);
        Stopwatch watch = Stopwatch.StartNew();
        using CancellationTokenSource stop = new();
        Lock pinLock = new();
        List<DmaPin> pins = [];
        long copies = 0;
        long leases = 0;
        long maps = 0;
        IommufdAccess copier = f.Access();
        IommufdAccess pinner = f.Access((iova, length) =>
        {
            // One lock around "pin and write it down" and around the callback, as the contract asks for.
            lock (pinLock)
            {
                pins.RemoveAll(pin =>
                {
                    bool inside = length == ulong.MaxValue || (pin.Range.Start < iova + length && iova <= pin.Range.Last);
                    if (inside)
                    {
                        AssertWhole(pin.Span);
                        pin.Dispose();
                    }

                    return inside;
                });
            }
        });
        Task[] tasks =
        [
            .. Enumerable.Range(0, 2).Select(half => Run(seed =>
            {
                Random random = new(seed);
                byte value = 0;
                while (!stop.IsCancellationRequested)
                {
                    ulong iova = (ulong)((half * Pages / 2) + random.Next(Pages / 2)) * P;
                    value = (byte)((value + 1) % 200);
                    PoisonedSource source = new(value);
                    Errno error = f.Ioas.MapFixed(iova, P, source, 0, DmaAccess.ReadWrite);
                    source.RemoveReference();
                    if (error == Errno.EEXIST)
                    {
                        Assert.Equal(Errno.None, f.Ioas.Unmap(Range(iova, P), out ulong removed));
                        Assert.Equal(P, removed);
                    }
                    else
                    {
                        Assert.Equal(Errno.None, error);
                        maps++;
                    }
                }
            })),
            .. Enumerable.Range(0, 2).Select(_ => Run(seed =>
            {
                Random random = new(seed);
                byte[] buffer = new byte[256];
                while (!stop.IsCancellationRequested)
                {
                    ulong iova = ((ulong)random.Next(Pages) * P) + (ulong)random.Next((int)P - buffer.Length);
                    Errno error = copier.Read(iova, buffer);
                    Assert.True(error is Errno.None or Errno.ENOENT or Errno.EINVAL, $"{error}");
                    if (error == Errno.None)
                    {
                        AssertWhole(buffer);
                        Interlocked.Increment(ref copies);
                    }
                }
            })),
            .. Enumerable.Range(0, 2).Select(_ => Run(seed =>
            {
                Random random = new(seed);
                while (!stop.IsCancellationRequested)
                {
                    DmaPin? pin;
                    lock (pinLock)
                    {
                        Errno error = pinner.TryPin((ulong)random.Next(Pages) * P, P, DmaAccess.ReadWrite, out pin);
                        Assert.True(error is Errno.None or Errno.ENOENT or Errno.EINVAL, $"{error}");
                        if (pin is not null)
                        {
                            pins.Add(pin);
                        }
                    }

                    Thread.SpinWait(random.Next(200));
                    lock (pinLock)
                    {
                        if (pin is not null && pins.Remove(pin))
                        {
                            AssertWhole(pin.Span);
                            pin.Dispose();
                            leases++;
                        }
                    }
                }
            })),
        ];
        while (watch.Elapsed < time || Interlocked.Read(ref copies) < 100 || Volatile.Read(ref leases) < 100)
        {
            Assert.True(watch.Elapsed < time + TimeSpan.FromSeconds(60), $"{copies} copies, {leases} leases, {maps} maps.");
            await Task.WhenAny([.. tasks, Task.Delay(50, TestContext.Current.CancellationToken)]);
            if (Array.Exists(tasks, static task => task.IsFaulted))
            {
                break;
            }
        }

        await stop.CancelAsync();
        await Task.WhenAll(tasks);
        pinner.Destroy();
        copier.Destroy();
        Assert.Equal(Errno.None, f.Ioas.Unmap(IovaRange.All, out _));
        Assert.Equal(0, PoisonedSource.Live);
    }

    private static Task Run(Action<int> body) => Task.Factory.StartNew(
        () => body(Environment.CurrentManagedThreadId),
        CancellationToken.None,
        TaskCreationOptions.LongRunning,
        TaskScheduler.Default);

    private static void AssertWhole(ReadOnlySpan<byte> memory)
    {
        Assert.NotEqual(Poison, memory[0]);
        Assert.False(memory.ContainsAnyExcept(memory[0]), "Bytes of two maps in one read.");
    }

    /// <summary>A page of one value, which turns to poison when it is let go.</summary>
    private sealed unsafe class PoisonedSource : MemorySource
    {
        private static int s_live;
        private readonly byte* _page = (byte*)NativeMemory.AlignedAlloc((nuint)P, (nuint)P);

        public PoisonedSource(byte value)
        {
            Interlocked.Increment(ref s_live);
            new Span<byte>(_page, (int)P).Fill(value);
        }

        public static int Live => s_live;

        public override ulong Length => P;

        public override bool IsWritable => true;

        public override string Kind => "poisoned";

        public override nint GetPointer(ulong offset) => (nint)(_page + offset);

        public override Errno Read(ulong offset, Span<byte> destination)
        {
            new ReadOnlySpan<byte>(_page + offset, destination.Length).CopyTo(destination);
            return Errno.None;
        }

        public override Errno Write(ulong offset, ReadOnlySpan<byte> source)
        {
            source.CopyTo(new Span<byte>(_page + offset, source.Length));
            return Errno.None;
        }

        protected override void Release()
        {
            new Span<byte>(_page, (int)P).Fill(Poison);
            NativeMemory.AlignedFree(_page);
            Interlocked.Decrement(ref s_live);
        }
    }
}
