using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Devices.Nvme.Tests.Backends;

/// <summary>Files and block devices: holes, locks, O_DIRECT, and what a failed flush does.</summary>
public sealed class FileTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Deallocated_blocks_and_written_zeros_take_no_storage(bool direct)
    {
        using var folder = new TempFolder();
        string path = folder["disk.img"];
        await using var rig = new NvmeRig(NvmeOptions.Parse([$"backend=file:{path}?create=4M&direct={(direct ? 1 : 0)}"]));
        RawQueue queue = rig.CreateQueue(1);
        ulong empty = Allocated(path);
        rig.Data.Slice(0, MiB).Fill(0x5A);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 2048)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 2048, 2048)).Status);
        Assert.Equal(0, queue.Execute(new RawCommand(0x00, nsid: 1)).Status);
        ulong full = Allocated(path);

        Assert.Equal(0, queue.Execute(rig.Transfer(0x08, 1, 2046)).Status);
        ulong withoutZeros = Allocated(path);
        rig.Data.Slice(0, 16).Clear();
        BitConverter.TryWriteBytes(rig.Data.Slice(4, 4), 2048);
        BitConverter.TryWriteBytes(rig.Data.Slice(8, 8), 2048UL);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x09, 0, 1).Set(10, 0).Set(11, 4)).Status);
        ulong withoutAll = Allocated(path);

        Assert.Equal(0UL, empty);
        Assert.True(full >= 2 * MiB, $"{full} bytes are allocated after 2 MiB were written");
        Assert.InRange(withoutZeros, (ulong)MiB, (ulong)MiB + 65536);
        Assert.InRange(withoutAll, 0UL, 65536UL);

        // What is beside the zeros is as it was.
        rig.Data.Slice(0, MiB).Fill(1);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 2048)).Status);
        Assert.Equal(-1, rig.Data.Slice(0, 512).IndexOfAnyExcept((byte)0x5A));
        Assert.Equal(-1, rig.Data.Slice(512, 2046 * 512).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, rig.Data.Slice(2047 * 512, 512).IndexOfAnyExcept((byte)0x5A));
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 2048, 2048)).Status);
        Assert.Equal(-1, rig.Data.Slice(0, MiB).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void Direct_file_takes_ranges_and_memory_of_any_alignment()
    {
        using var folder = new TempFolder();
        using INvmeBackend backend = FileBackend.Open(folder["disk.img"], new FileBackendOptions { CreateSize = 256 * 1024, IsDirect = true });
        byte[] expected = new byte[256 * 1024];
        byte[] memory = new byte[256 * 1024 + 1];
        var random = new Random(5);
        for (int round = 0; round < 400; round++)
        {
            int offset = random.Next(256 * 1024);
            int length = 1 + random.Next(Math.Min(100_000, (256 * 1024) - offset));
            Span<byte> piece = memory.AsSpan(random.Next(2), length);
            if (random.Next(5) == 0)
            {
                expected.AsSpan(offset, length).Clear();
                Assert.Equal(Errno.None, backend.Clear((ulong)offset, (ulong)length));
            }
            else
            {
                random.NextBytes(piece);
                piece.CopyTo(expected.AsSpan(offset));
                Assert.Equal(Errno.None, backend.Write((ulong)offset, piece));
            }

            offset = random.Next(256 * 1024);
            piece = memory.AsSpan(random.Next(2), 1 + random.Next((256 * 1024) - offset));
            Assert.Equal(Errno.None, backend.Read((ulong)offset, piece));
            Assert.True(piece.SequenceEqual(expected.AsSpan(offset, piece.Length)), $"round {round} reads something else");
        }
    }

    [Fact]
    public void Direct_transfers_allocate_nothing_in_steady_state()
    {
        using var folder = new TempFolder();
        using INvmeBackend backend = FileBackend.Open(folder["disk.img"], new FileBackendOptions { CreateSize = MiB, IsDirect = true });
        byte[] memory = new byte[8192];
        bool Round() => backend.Write(4096, memory.AsSpan(1, 4096)) == Errno.None
            && backend.Write(100, memory.AsSpan(1, 1000)) == Errno.None
            && backend.Read(4096, memory.AsSpan(1, 4096)) == Errno.None
            && backend.Read(100, memory.AsSpan(1, 1000)) == Errno.None
            && backend.Clear(100, 9000) == Errno.None
            && backend.Flush() == Errno.None;

        bool succeeded = true;
        long allocated = AllocationMeter.Measure(() => succeeded &= Round(), iterations: 20, warmup: 2);
        Assert.True(succeeded);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void Two_writers_of_a_file_are_refused_with_a_way_out()
    {
        using var folder = new TempFolder();
        string path = folder["disk.img"];
        var writer = new FileBackendOptions { CreateSize = MiB };
        var reader = new FileBackendOptions { IsReadOnly = true };
        using (new FileBackend(path, writer))
        {
            Assert.Contains("lock=0", Assert.Throws<IOException>(() => new FileBackend(path, writer)).Message);
            Assert.Contains("for writing", Assert.Throws<IOException>(() => new FileBackend(path, reader)).Message);
            using var both = new FileBackend(path, writer with { IsLocked = false });
        }

        using (new FileBackend(path, reader))
        using (new FileBackend(path, reader))
        {
            Assert.Contains("another", Assert.Throws<IOException>(() => new FileBackend(path, writer)).Message);
        }

        using var last = new FileBackend(path, writer);
    }

    [Fact]
    public void Qemu_and_a_server_keep_each_other_out()
    {
        using var folder = new TempFolder();
        string path = folder["disk.img"];
        using (new FileBackend(path, MiB))
        {
            (int write, string error) = ExternalProgram.Run("qemu-io", "-f", "raw", "-c", "write 0 512", path);

            Assert.True(write != 0 && error.Contains("lock", StringComparison.OrdinalIgnoreCase), $"qemu-io ended with {write}: {error}");
        }

        Assert.Equal(0, ExternalProgram.Run("qemu-io", "-f", "raw", "-c", "write 0 512", path).Status);
    }

    [Fact]
    public void Block_device_is_read_written_and_cleared_or_refused_to_those_without_rights()
    {
        using var folder = new TempFolder();
        string path = folder["disk.img"];
        using (new FileBackend(path, 4 * MiB))
        {
        }

        if (!Environment.IsPrivilegedProcess)
        {
            // Loop devices are for root; others hear why not.
            LinuxException refused = Assert.Throws<LinuxException>(() => new FileBackend("/dev/loop0"));
            Assert.Equal(Errno.EACCES, refused.Errno);
            return;
        }

        (int status, string device) = ExternalProgram.Run("losetup", "--find", "--show", path);
        Assert.True(status == 0, device);
        device = device.Trim();
        try
        {
            foreach (bool direct in (bool[])[false, true])
            {
                using INvmeBackend backend = FileBackend.Open(device, new FileBackendOptions { IsDirect = direct });
                Assert.Equal(4UL * MiB, backend.Length);
                Assert.Contains("mounted", Assert.Throws<IOException>(() => new FileBackend(device)).Message);
                byte[] data = new byte[2 * MiB];
                Array.Fill(data, (byte)9);
                Assert.Equal(Errno.None, backend.Write(MiB, data));
                Assert.Equal(Errno.None, backend.Flush());
                ulong full = Allocated(path);
                Assert.Equal(Errno.None, backend.Clear(MiB + 512, MiB));
                Assert.Equal(Errno.None, backend.Flush());
                Assert.Equal(Errno.None, backend.Read(MiB, data));
                Assert.Equal(-1, data.AsSpan(0, 512).IndexOfAnyExcept((byte)9));
                Assert.Equal(-1, data.AsSpan(512, MiB).IndexOfAnyExcept((byte)0));
                Assert.Equal(-1, data.AsSpan(512 + MiB).IndexOfAnyExcept((byte)9));

                // A loop device unmaps by a hole in its file.
                Assert.True(Allocated(path) <= full - (MiB / 2), $"{full} bytes before, {Allocated(path)} after 1 MiB was cleared");
            }
        }
        finally
        {
            ExternalProgram.Run("losetup", "--detach", device);
        }
    }

    [Fact]
    public void Flush_that_failed_fails_for_good()
    {
        Errno answer = Errno.None;
        int calls = 0;
        var gate = new FlushGate(() =>
        {
            calls++;
            return answer;
        });

        Assert.Equal(Errno.None, gate.Flush());
        answer = Errno.EIO;
        Assert.Equal(Errno.EIO, gate.Flush());
        answer = Errno.None;
        Assert.Equal(Errno.EIO, gate.Flush());
        Assert.Equal(2, calls);
    }

    [Fact]
    public async Task Flushes_at_a_time_share_a_call_and_none_is_answered_before_one_that_began_after_it()
    {
        using var entered = new SemaphoreSlim(0);
        using var release = new SemaphoreSlim(0);
        int calls = 0;
        var gate = new FlushGate(() =>
        {
            Interlocked.Increment(ref calls);
            entered.Release();
            release.Wait();
            return Errno.None;
        });
        var first = Task.Factory.StartNew(gate.Flush, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await entered.WaitAsync(TestContext.Current.CancellationToken);
        Task<Errno>[] later = [.. Enumerable.Range(0, 4).Select(_ => Task.Factory.StartNew(gate.Flush, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        await Task.Delay(100, TestContext.Current.CancellationToken);
        Assert.All(later, flush => Assert.False(flush.IsCompleted));
        release.Release();
        Assert.Equal(Errno.None, await first);
        await entered.WaitAsync(TestContext.Current.CancellationToken);
        Assert.All(later, flush => Assert.False(flush.IsCompleted));
        release.Release(10);

        Assert.All(await Task.WhenAll(later), error => Assert.Equal(Errno.None, error));
        Assert.InRange(Volatile.Read(ref calls), 2, 3);
    }

    private static ulong Allocated(string path)
    {
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, OpenMode.ReadOnly, out FileDescriptor? file));
        using (file)
        {
            Assert.Equal(Errno.None, file!.TryGetStatus(out FileStatus status));
            return status.Allocated;
        }
    }
}
