using Vfio.Abi;
using Vfio.TestUtilities;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>Software DMA and the unmap callback (spec iommufd §4.4, §4.5, §8.9).</summary>
public sealed class AccessTests
{
    [Fact]
    public async Task Destroy_waits_for_an_unmap_callback_on_another_thread()
    {
        using IommufdFixture f = new();
        using ManualResetEventSlim entered = new();
        using ManualResetEventSlim leave = new();
        DmaPin? pin = null;
        int running = 0;
        int calls = 0;
        IommufdAccess access = f.Access((_, _) =>
        {
            Interlocked.Increment(ref running);
            if (Interlocked.Increment(ref calls) == 1)
            {
                entered.Set();
                leave.Wait(TimeSpan.FromSeconds(10));
            }

            pin!.Dispose();
            Interlocked.Decrement(ref running);
        });
        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, access.TryPin(0, P, DmaAccess.Read, out pin));
        Task<Errno> unmap = Task.Run(() => f.Unmap(0, P, out _));
        Assert.True(entered.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        Task<int> destroyed = Task.Run(() =>
        {
            access.Destroy();
            return Volatile.Read(ref running);
        });
        await Task.Delay(100, TestContext.Current.CancellationToken);
        Assert.False(destroyed.IsCompleted);
        leave.Set();
        Assert.Equal(0, await destroyed.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        Assert.Equal(Errno.None, await unmap.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
    }

    [Fact]
    public void Case151_152_only_a_pinning_access_raises_the_alignment()
    {
        using IommufdFixture f = new();
        IommufdAccess copying = f.Access();
        Assert.Equal(1ul, f.Ioas.Alignment);
        IommufdAccess pinning = f.Access(static (_, _) => { });
        Assert.Equal(P, f.Ioas.Alignment);
        pinning.Detach();
        Assert.Equal(1ul, f.Ioas.Alignment);
        copying.Destroy();
        pinning.Destroy();
    }

    [Fact]
    public void Case153_unaligned_area_refuses_a_pinning_access()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(5, 1));
        IommufdAccess access = f.Access(static (_, _) => { }, attach: false);
        Assert.Equal(Errno.EADDRINUSE, access.AttachOrReplace(f.Ioas.Id));
        access.Destroy();
        Assert.Equal(Errno.None, f.Context.Destroy(f.Ioas.Id));
    }

    [Fact]
    public void Case155_same_ioas_again_is_no_change()
    {
        using IommufdFixture f = new();
        int callbacks = 0;
        IommufdAccess access = f.Access((_, _) => callbacks++);
        Assert.Equal(Errno.None, access.AttachOrReplace(f.Ioas.Id));
        Assert.Equal(0, callbacks);
        access.Destroy();
    }

    [Fact]
    public void Case156_unattached_access_is_ENOENT()
    {
        using IommufdFixture f = new();
        IommufdAccess access = f.Access(static (_, _) => { }, attach: false);
        Assert.Equal(Errno.ENOENT, access.AttachOrReplace(99));
        Assert.Equal(Errno.ENOENT, access.TryPin(0, P, DmaAccess.Read, out _));
        Assert.Equal(Errno.ENOENT, access.Read(0, new byte[1]));
        access.Destroy();
    }

    [Fact]
    public void Case157_pin_of_nothing_and_of_a_wrapping_range()
    {
        using IommufdFixture f = new();
        IommufdAccess access = f.Access(static (_, _) => { });
        Assert.Equal(Errno.EINVAL, access.TryPin(0, 0, DmaAccess.Read, out _));
        Assert.Equal(Errno.EOVERFLOW, access.TryPin(Max, 2, DmaAccess.Read, out _));
        access.Destroy();
    }

    [Fact]
    public void Case158_pin_over_a_hole_pins_nothing()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        IommufdAccess access = f.Access(static (_, _) => Assert.Fail("Nothing is pinned."));
        Assert.Equal(Errno.ENOENT, access.TryPin(0, 2 * P, DmaAccess.Read, out _));
        Assert.Equal(Errno.None, f.Unmap(0, P, out _));
    }

    [Fact]
    public void Case159_160_rights_are_checked_both_ways()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P, DmaAccess.Read));
        Assert.Equal(Errno.None, f.Map(P, P, DmaAccess.Write));
        IommufdAccess access = f.Access(static (_, _) => { });
        Assert.Equal(Errno.EPERM, access.TryPin(0, P, DmaAccess.Write, out _));
        Assert.Equal(Errno.EPERM, access.Write(0, [1]));
        Assert.Equal(Errno.EPERM, access.TryPin(P, P, DmaAccess.Read, out _));
        Assert.Equal(Errno.EPERM, access.Read(P, new byte[1]));
        Assert.Equal(Errno.None, access.Read(0, new byte[1]));
        Assert.Equal(Errno.None, access.Write(P, [1]));
        access.Destroy();
    }

    [Fact]
    public void Write_to_memory_that_is_not_writable_is_EPERM()
    {
        using IommufdFixture f = new();
        MemorySource source = f.B(writable: false);
        Assert.Equal(Errno.None, f.Ioas.MapFixed(0, P, source, 0, DmaAccess.ReadWrite));
        source.RemoveReference();
        IommufdAccess access = f.Access();
        Assert.Equal(Errno.EPERM, access.Write(0, [1]));
        Assert.Equal(Errno.None, access.Read(0, new byte[1]));
        access.Destroy();
    }

    [Fact]
    public void Case163_unmap_of_a_pinned_area_calls_back_once_with_the_whole_area()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, 8 * P));
        DmaPin? pin = null;
        List<(ulong, ulong)> calls = [];
        IommufdAccess access = f.Access((iova, length) =>
        {
            calls.Add((iova, length));
            pin!.Dispose();
        });
        Assert.Equal(Errno.None, access.TryPin(P, P, DmaAccess.ReadWrite, out pin));
        Assert.Equal(Errno.None, f.Unmap(0, 8 * P, out ulong unmapped));
        Assert.Equal(8 * P, unmapped);
        Assert.Equal([(0ul, 8 * P)], calls);
    }

    [Fact]
    public void Case164_165_all_accesses_are_told_and_only_for_pinned_areas()
    {
        using IommufdFixture f = new();
        int first = 0;
        int second = 0;
        DmaPin? pin = null;
        IommufdAccess holder = f.Access((_, _) =>
        {
            first++;
            pin?.Dispose();
        });
        _ = f.Access((_, _) => second++);
        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, f.Unmap(0, P, out _));
        Assert.Equal((0, 0), (first, second));

        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, holder.TryPin(0, P, DmaAccess.Read, out pin));
        Assert.Equal(Errno.None, f.Unmap(0, P, out _));
        Assert.Equal((1, 1), (first, second));
    }

    [Fact]
    public void Case166_167_a_pin_that_stays_ends_in_EDEADLK_and_the_area_is_closed_until_it_is_given_back()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        int calls = 0;
        IommufdAccess access = f.Access((_, _) => calls++);
        Assert.Equal(Errno.None, access.TryPin(0, P, DmaAccess.Read, out DmaPin? pin));
        Assert.Equal(Errno.EDEADLK, f.Unmap(0, P, out _));
        Assert.Equal(101, calls);
        Assert.Equal(Errno.EINVAL, access.TryPin(0, P, DmaAccess.Read, out _));
        Assert.Equal(Errno.EINVAL, access.Read(0, new byte[1]));
        pin!.Dispose();
        Assert.Equal(Errno.None, f.Unmap(0, P, out _));
    }

    [Fact]
    public void Case168_areas_before_a_stuck_one_are_gone()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, f.Map(P, P));
        IommufdAccess access = f.Access(static (_, _) => { });
        Assert.Equal(Errno.None, access.TryPin(P, P, DmaAccess.Read, out DmaPin? pin));
        Assert.Equal(Errno.EDEADLK, f.Unmap(0, 2 * P, out ulong unmapped));
        Assert.Equal(P, unmapped);
        Assert.False(f.Ioas.TryGetArea(0, out _));
        Assert.True(f.Ioas.TryGetArea(P, out _));
        pin!.Dispose();
    }

    [Fact]
    public void Many_adjacent_areas_each_released_at_its_callback_are_unmapped()
    {
        // The kernel counts its rounds over adjacent areas and fails at the hundred and first (quirk Q10); ours counts by area.
        using IommufdFixture f = new();
        const int Count = 150;
        DmaPin?[] pins = new DmaPin?[Count];
        for (ulong i = 0; i < Count; i++)
        {
            Assert.Equal(Errno.None, f.Map(i * P, P));
        }

        IommufdAccess access = f.Access((iova, _) => pins[iova == 0 ? 0 : iova / P]?.Dispose());
        for (int i = 0; i < Count; i++)
        {
            Assert.Equal(Errno.None, access.TryPin((ulong)i * P, P, DmaAccess.Read, out pins[i]));
        }

        Assert.Equal(Errno.None, f.Unmap(0, Count * P, out ulong unmapped));
        Assert.Equal(Count * P, unmapped);
    }

    [Fact]
    public void Case169_detach_calls_back_once_and_refuses_new_pins_meanwhile()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        DmaPin? pin = null;
        IommufdAccess? access = null;
        List<(ulong, ulong, Errno)> calls = [];
        access = f.Access((iova, length) =>
        {
            calls.Add((iova, length, access!.TryPin(0, P, DmaAccess.Read, out _)));
            pin?.Dispose();
        });
        Assert.Equal(Errno.None, access.TryPin(0, P, DmaAccess.Read, out pin));
        access.Detach();
        Assert.Equal([(0ul, Max, Errno.ENOENT)], calls);
        Assert.Equal(Errno.None, f.Unmap(0, P, out _));
    }

    [Fact]
    public void Case170_replace_calls_back_once_and_frees_the_old_ioas()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Context.AllocateIoas(out Ioas? second));
        Assert.Equal(Errno.None, f.Map(0, P));
        DmaPin? pin = null;
        List<(ulong, ulong)> calls = [];
        IommufdAccess access = f.Access((iova, length) =>
        {
            calls.Add((iova, length));
            pin?.Dispose();
        });
        Assert.Equal(Errno.None, access.TryPin(0, P, DmaAccess.Read, out pin));
        Assert.Equal(Errno.None, access.AttachOrReplace(second!.Id));
        Assert.Equal([(0ul, Max)], calls);
        Assert.Same(second, access.AddressSpace);
        Assert.Equal(Errno.None, f.Context.Destroy(f.Ioas.Id));
    }

    [Fact]
    public void Case172_173_copies_cross_areas_and_stop_at_holes()
    {
        using IommufdFixture f = new();
        MemorySource source = f.B();
        Assert.Equal(Errno.None, f.Ioas.MapFixed(0, P, source, 0, DmaAccess.ReadWrite));
        Assert.Equal(Errno.None, f.Ioas.MapFixed(P, P, source, 8 * P, DmaAccess.ReadWrite));
        source.RemoveReference();
        IommufdAccess access = f.Access();
        byte[] data = [.. Enumerable.Range(1, 100).Select(static i => (byte)i)];
        Assert.Equal(Errno.None, access.Write(P - 50, data));
        Assert.Equal(data[..50], f.Buffer.Slice((nuint)P - 50, 50).ToArray());
        Assert.Equal(data[50..], f.Buffer.Slice((nuint)(8 * P), 50).ToArray());
        byte[] read = new byte[100];
        Assert.Equal(Errno.None, access.Read(P - 50, read));
        Assert.Equal(data, read);

        Assert.Equal(Errno.ENOENT, access.Write((2 * P) - 50, data));
        Assert.Equal(data[..50], f.Buffer.Slice((nuint)(9 * P) - 50, 50).ToArray());
        access.Destroy();
    }

    [Fact]
    public void Case174_bad_process_address_is_EFAULT()
    {
        using IommufdFixture f = new();
        MemorySource source = Memory(P);
        Assert.Equal(Errno.None, f.Ioas.MapFixed(0, P, source, 0, DmaAccess.ReadWrite));
        source.RemoveReference();
        IommufdAccess access = f.Access(static (_, _) => { });
        Assert.Equal(Errno.EFAULT, access.Read(0, new byte[8]));
        Assert.Equal(Errno.EFAULT, access.Write(0, new byte[8]));
        Assert.Equal(Errno.EOPNOTSUPP, access.TryPin(0, P, DmaAccess.Read, out _));
        access.Destroy();
    }

    [Fact]
    public void Window_shows_the_memory_and_allocates_nothing()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, 4 * P));
        IommufdAccess access = f.Access();
        f.Buffer.Span[10] = 99;
        byte[] scratch = new byte[64];
        bool right = true;
        long allocated = AllocationMeter.Measure(() =>
        {
            right &= access.TryOpenWindow(10, 4, DmaAccess.Read, out DmaWindow window) == Errno.None && window.Span[0] == 99;
            window.Dispose();
            right &= access.Read(100, scratch) == Errno.None && access.Write(100, scratch) == Errno.None;
        });
        Assert.True(right);
        Assert.Equal(0, allocated);
        Assert.Equal(Errno.EOPNOTSUPP, AcrossTheEnd(access));
        access.Destroy();
    }

    private static Errno AcrossTheEnd(IommufdAccess access)
    {
        Errno error = access.TryOpenWindow((4 * P) - 2, 4, DmaAccess.Read, out DmaWindow window);
        return error;
    }

    [Fact]
    public async Task Unmap_waits_for_a_window_that_is_open()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        IommufdAccess access = f.Access();
        using ManualResetEventSlim opened = new();
        using ManualResetEventSlim close = new();
        Task device = Task.Run(() =>
        {
            Assert.Equal(Errno.None, access.TryOpenWindow(0, 8, DmaAccess.Write, out DmaWindow window));
            opened.Set();
            close.Wait();
            window.Span[0] = 1;
            window.Dispose();
        }, TestContext.Current.CancellationToken);
        opened.Wait(TestContext.Current.CancellationToken);
        Task<Errno> unmap = Task.Run(() => f.Unmap(0, P, out _), TestContext.Current.CancellationToken);
        await Task.Delay(50, TestContext.Current.CancellationToken);
        Assert.False(unmap.IsCompleted);
        close.Set();
        Assert.Equal(Errno.None, await unmap);
        await device;
        access.Destroy();
    }
}
