using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Backends;

/// <summary>What the blocks are kept in, and what the host hears when that fails.</summary>
public sealed class BackendTests
{
    [Fact]
    public void Memory_clears_ranges_of_any_alignment()
    {
        using var backend = new MemoryBackend(64 * 1024);
        byte[] content = new byte[64 * 1024];
        foreach ((int offset, int length) in ((int, int)[])[(0, 512), (512, 4096), (4096, 4096), (100, 60_000), (0, 65536), (65024, 512)])
        {
            Array.Fill(content, (byte)7);
            Assert.Equal(Errno.None, backend.Write(0, content));
            Assert.Equal(Errno.None, backend.Clear((ulong)offset, (ulong)length));
            Assert.Equal(Errno.None, backend.Read(0, content));
            Assert.Equal(-1, content.AsSpan(offset, length).IndexOfAnyExcept((byte)0));
            Assert.Equal(-1, content.AsSpan(0, offset).IndexOfAnyExcept((byte)7));
            Assert.Equal(-1, content.AsSpan(offset + length).IndexOfAnyExcept((byte)7));
        }

    }

    [Fact]
    public async Task File_keeps_blocks_and_is_locked_while_it_is_open()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("nvme-");
        string path = Path.Combine(folder.FullName, "disk.img");
        try
        {
            NvmeOptions options = NvmeOptions.Parse([$"file={path}", "size=1M"]);
            await using (var rig = new NvmeRig(options))
            {
                RawQueue queue = rig.CreateQueue(1);
                rig.Data.Slice(0, 200 * 1024).Fill(0x33);
                Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 16, 400)).Status);
                Assert.Equal(0, queue.Execute(new RawCommand(0x00, nsid: 1)).Status);
                Assert.Equal(0, queue.Execute(rig.Transfer(0x08, 20, 8)).Status);
                Assert.Throws<IOException>(() => new FileBackend(path));
            }

            byte[] content = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
            Assert.Equal(1 << 20, content.Length);
            Assert.Equal(0, content[(16 * 512) - 1]);
            Assert.Equal(0x33, content[16 * 512]);
            Assert.Equal(-1, content.AsSpan(20 * 512, 8 * 512).IndexOfAnyExcept((byte)0));
            Assert.Equal(0x33, content[(416 * 512) - 1]);
            Assert.Equal(0, content[416 * 512]);

            await using (var rig = new NvmeRig(NvmeOptions.Parse([$"file={path}", "readonly=on"])))
            {
                RawQueue queue = rig.CreateQueue(1);
                Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 16, 1)).Status);
                Assert.Equal(0x33, rig.Data.Span[0]);
                Assert.Equal(0x20, queue.Execute(rig.Transfer(0x01, 16, 1)).Status);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task File_of_metadata_keeps_it_across_a_restart()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("nvme-");
        try
        {
            string[] settings = [$"file={Path.Combine(folder.FullName, "disk.img")}", $"metafile={Path.Combine(folder.FullName, "disk.meta")}", "size=1M", "metadata=8", "protection=1"];
            await using (var rig = new NvmeRig(NvmeOptions.Parse(settings)))
            {
                rig.Data.Slice(0, 4096).Fill(0x44);
                Assert.Equal(0, rig.CreateQueue(1).Execute(rig.Transfer(0x01, 40, 8).Set(12, 7 | (1U << 29)).Set(14, 40).Set(15, 0x77)).Status);
            }

            await using (var rig = new NvmeRig(NvmeOptions.Parse(settings)))
            {
                RawQueue queue = rig.CreateQueue(1);
                Assert.Equal(0, queue.Execute(rig.Transfer(0x0C, 40, 8).Set(12, 7 | (7U << 26)).Set(14, 40).Set(15, 0xFFFF_0077)).Status);
                Assert.Equal(0x283, queue.Execute(rig.Transfer(0x0C, 40, 8).Set(12, 7 | (7U << 26)).Set(14, 40).Set(15, 0xFFFF_0078)).Status);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void File_that_is_no_image_is_refused()
    {
        string folder = Path.GetTempPath();
        Assert.ThrowsAny<SystemException>(() => new FileBackend(folder));
        Assert.Throws<IOException>(() => new FileBackend("/dev/null", size: 4096));
        string small = Path.GetTempFileName();
        Assert.Throws<IOException>(() => new FileBackend(small));
        File.WriteAllBytes(small, new byte[4095]);
        Assert.Throws<IOException>(() => new FileBackend(small, size: 8192));
        File.Delete(small);
        Assert.Throws<FileNotFoundException>(() => new FileBackend(Path.Combine(folder, "there is no such file"), isReadOnly: true));
    }

    [Theory]
    [InlineData(0x02, 0x281)]
    [InlineData(0x01, 0x280)]
    [InlineData(0x05, 0x281)]
    [InlineData(0x08, 0x280)]
    [InlineData(0x09, 0x280)]
    [InlineData(0x0C, 0x281)]
    public async Task Failing_backend_is_a_media_error(byte opcode, int status)
    {
        foreach (bool mayWait in (bool[])[false, true])
        {
            TestBackend? backend = null;
            await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { MayWait = mayWait } }] });
            RawQueue queue = rig.CreateQueue(1);
            backend!.Failure = Errno.EIO;
            RawCommand command = rig.Transfer(opcode, 0, 8);
            if (opcode == 0x09)
            {
                command.Set(10, 0).Set(11, 4);
                rig.Data.Span[4] = 1;
            }

            Assert.Equal(status, queue.Execute(command).Status);
            backend.Failure = Errno.None;
            Assert.Equal(0, queue.Execute(command).Status);
        }
    }

    [Fact]
    public async Task Failing_flush_is_a_write_fault()
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { HasVolatileCache = true } }] });
        RawQueue queue = rig.CreateQueue(1);
        backend!.FlushFailure = Errno.EIO;

        Assert.Equal(0x280, queue.Execute(new RawCommand(0x00, nsid: 1)).Status);
        Assert.Equal(0x280, queue.Execute(new RawCommand(0x00, nsid: uint.MaxValue)).Status);
        Assert.Equal(0x280, queue.Execute(rig.Transfer(0x01, 0, 1).Set(12, 1U << 30)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 1)).Status);
    }

    [Fact]
    public async Task Cache_that_is_turned_off_is_flushed_by_every_write()
    {
        TestBackend? backend = null;
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Backend = size => backend = new TestBackend(size) { HasVolatileCache = true } }] });
        RawQueue queue = rig.CreateQueue(1);
        Assert.Equal(1U, rig.Admin.Execute(new RawCommand(0x0A).Set(10, 6)).Result);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 1)).Status);
        Assert.Equal(0, backend!.Flushes);

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x09).Set(10, 6)).Status);
        int flushes = backend.Flushes;
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 1)).Status);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x08, 0, 1)).Status);

        Assert.Equal(1, flushes);
        Assert.Equal(flushes + 2, backend.Flushes);
    }
}
