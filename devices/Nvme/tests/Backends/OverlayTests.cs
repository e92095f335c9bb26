using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Linux;

namespace Vfio.Devices.Nvme.Tests.Backends;

/// <summary>Overlays: the base stays as it is, and a crash leaves what was flushed.</summary>
public sealed class OverlayTests
{
    private const int Cluster = 64 * 1024;

    /// <summary>Not a whole number of clusters.</summary>
    private const int Length = (20 * Cluster) + 4096;

    [Theory]
    [InlineData("overlay=memory", false)]
    [InlineData("overlay=PATH", true)]
    [InlineData("overlay=PATH&direct=1", true)]
    public void Random_writes_and_clears_read_back_and_the_base_is_as_it_was(string query, bool isKept)
    {
        using var folder = new TempFolder();
        byte[] original = MakeBase(folder["base"]);
        byte[] expected = [.. original];
        string uri = $"file:{folder["base"]}?{query.Replace("PATH", folder["top"], StringComparison.Ordinal)}";
        var random = new Random(9);
        byte[] memory = new byte[Length];
        for (int opening = 0; opening < 3; opening++)
        {
            using INvmeBackend backend = NvmeBackendUri.Parse(uri).Open();
            Assert.Equal((ulong)Length, backend.Length);
            if (!isKept)
            {
                expected = [.. original];
            }

            for (int round = 0; round < 100; round++)
            {
                int offset = random.Next(Length / 512) * 512;
                int length = Math.Min((1 + random.Next(400)) * 512, Length - offset);
                Span<byte> piece = memory.AsSpan(0, length);
                if (random.Next(4) == 0)
                {
                    Assert.Equal(Errno.None, backend.Clear((ulong)offset, (ulong)length));
                    expected.AsSpan(offset, length).Clear();
                }
                else if (random.Next(2) == 0)
                {
                    random.NextBytes(piece);
                    Assert.Equal(Errno.None, backend.Write((ulong)offset, piece));
                    piece.CopyTo(expected.AsSpan(offset));
                }

                Assert.Equal(Errno.None, backend.Read((ulong)offset, piece));
                Assert.True(piece.SequenceEqual(expected.AsSpan(offset, length)), $"opening {opening}, round {round}");
            }

            Assert.Equal(Errno.None, backend.Read(0, memory));
            Assert.True(memory.AsSpan().SequenceEqual(expected), $"opening {opening}");
            Assert.Equal(Errno.None, backend.Flush());
        }

        Assert.True(File.ReadAllBytes(folder["base"]).AsSpan().SequenceEqual(original), "the base was written");
    }

    [Fact]
    public void Power_loss_leaves_what_was_flushed_and_sectors_of_before_or_after_elsewhere()
    {
        const int Sector = 512;
        using var folder = new TempFolder();
        byte[] original = MakeBase(folder["base"]);
        byte[] block = new byte[70_000];
        for (int crash = 0; crash < 60; crash++)
        {
            var random = new Random(crash);
            using var store = new PowerLossStore((int)OverlayHeader.FileLength(Length));
            byte[] now = [.. original];

            // For each sector what it may be: as at the last flush, or as at any write since.
            var allowed = Enumerable.Range(0, Length / Sector).Select(i => new List<byte[]> { original[(i * Sector)..((i + 1) * Sector)] }).ToList();
            INvmeBackend overlay = OverlayBackend.On(FileBackend.Open(folder["base"], new FileBackendOptions { IsReadOnly = true }), store, "test");
            int operations = random.Next(80);
            int fails = random.Next(store.Calls, store.Calls + 200);
            store.FailsAfter = fails;
            for (int i = 0; i < operations; i++)
            {
                int offset = random.Next(Length / Sector) * Sector;
                int length = Math.Min((1 + random.Next(random.Next(2) == 0 ? 8 : 136)) * Sector, Length - offset);
                bool clears = random.Next(5) == 0;
                Span<byte> piece = block.AsSpan(0, length);
                random.NextBytes(piece);
                if (clears)
                {
                    piece.Clear();
                }

                // Also one that fails may have changed something.
                for (int place = 0; place < length; place += Sector)
                {
                    allowed[(offset + place) / Sector].Add(piece.Slice(place, Sector).ToArray());
                }

                if ((clears ? overlay.Clear((ulong)offset, (ulong)length) : overlay.Write((ulong)offset, piece)) != Errno.None)
                {
                    break;
                }

                piece.CopyTo(now.AsSpan(offset));
                if (random.Next(8) == 0)
                {
                    if (overlay.Flush() != Errno.None)
                    {
                        break;
                    }

                    for (int place = 0; place < Length; place += Sector)
                    {
                        allowed[place / Sector].Clear();
                        allowed[place / Sector].Add(now[place..(place + Sector)]);
                    }
                }
            }

            store.LosePower(random);
            byte[] found = new byte[Length];
            INvmeBackend again = OverlayBackend.On(FileBackend.Open(folder["base"], new FileBackendOptions { IsReadOnly = true }), store, "test");
            Assert.Equal(Errno.None, again.Read(0, found));
            for (int place = 0; place < Length; place += Sector)
            {
                Assert.True(
                    allowed[place / Sector].Exists(content => found.AsSpan(place, Sector).SequenceEqual(content)),
                    $"crash {crash}: the sector at {place} is neither as flushed nor as written since");
            }

            overlay.Dispose();
            again.Dispose();
        }
    }

    [Fact]
    public void Bits_are_written_behind_their_clusters()
    {
        // The store as it is at the first and at the second synchronization of a flush.
        using var folder = new TempFolder();
        MakeBase(folder["base"]);
        using (INvmeBackend overlay = NvmeBackendUri.Parse($"file:{folder["base"]}?overlay={folder["top"]}").Open())
        {
            byte[] cluster = new byte[Cluster];
            Array.Fill(cluster, (byte)0x77);
            Assert.Equal(Errno.None, overlay.Write(3 * Cluster, cluster));
            byte[] before = Head(folder["top"]);
            Assert.Equal(Errno.None, overlay.Flush());
            byte[] after = Head(folder["top"]);

            Assert.Equal(0, before[4096]);
            Assert.Equal(1 << 3, after[4096]);
            Assert.Equal("VFIOOVL1"u8.ToArray(), after[..8]);
        }

        Assert.Equal(0x77, File.ReadAllBytes(folder["top"])[(1 * Cluster) + (3 * Cluster)]);
    }

    [Fact]
    public void Overlay_takes_the_storage_of_what_was_written()
    {
        using var folder = new TempFolder();
        MakeBase(folder["base"]);
        using INvmeBackend overlay = NvmeBackendUri.Parse($"file:{folder["base"]}?overlay={folder["top"]}").Open();
        Assert.Equal(Errno.None, overlay.Write(0, new byte[512]));
        Assert.Equal(Errno.None, overlay.Clear(4 * Cluster, 10 * Cluster));
        Assert.Equal(Errno.None, overlay.Flush());
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(folder["top"], OpenMode.ReadOnly, out FileDescriptor? file));
        using (file)
        {
            Assert.Equal(Errno.None, file!.TryGetStatus(out FileStatus status));
            Assert.InRange(status.Allocated, (ulong)Cluster, Cluster + 32768UL);
        }
    }

    [Fact]
    public void File_that_is_no_overlay_of_this_base_is_refused_and_left_as_it_is()
    {
        using var folder = new TempFolder();
        MakeBase(folder["base"]);
        File.WriteAllBytes(folder["other"], new byte[Cluster]);
        File.WriteAllText(folder["text"], new string('x', 8192));
        NvmeBackendUri.Parse($"file:{folder["other"]}?overlay={folder["ofother"]}").Open().Dispose();
        NvmeBackendUri.Parse($"file:{folder["base"]}?overlay={folder["damaged"]}").Open().Dispose();
        using (FileStream damaged = File.OpenWrite(folder["damaged"]))
        {
            damaged.Position = 17;
            damaged.WriteByte(99);
        }

        foreach ((string name, string part) in ((string, string)[])[("text", "no overlay"), ("ofother", "made for a base of 65536"), ("damaged", "damaged")])
        {
            byte[] before = File.ReadAllBytes(folder[name]);
            Assert.Contains(part, Assert.Throws<IOException>(() => NvmeBackendUri.Parse($"file:{folder["base"]}?overlay={folder[name]}").Open()).Message);
            Assert.Equal(before, File.ReadAllBytes(folder[name]));
        }

        Assert.Contains("readonly", Assert.Throws<FormatException>(() => NvmeBackendUri.Parse("file:/x?overlay=/y&readonly=1")).Message);
        Assert.Contains("create", Assert.Throws<FormatException>(() => NvmeBackendUri.Parse("file:/x?overlay=/y&create=1M")).Message);
    }

    [Fact]
    public async Task Namespace_on_an_overlay_of_an_nbd_export_is_written_without_it()
    {
        using var folder = new TempFolder();
        byte[] original = MakeBase(folder["base"]);
        using var server = new ExternalProgram("nbdkit", "-f", "-r", "-U", folder["nbd"], "file", folder["base"]);
        string uri = $"nbd+unix:///?socket={folder["nbd"]}&open-timeout=10&overlay={folder["top"]}";
        for (int opening = 0; opening < 2; opening++)
        {
            await using var rig = new NvmeRig(NvmeOptions.Parse([$"backend={uri}"]));
            RawQueue queue = rig.CreateQueue(1);
            if (opening == 0)
            {
                rig.Data.Slice(0, 4096).Fill(0xEE);
                Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 300, 8)).Status);
                Assert.Equal(0, queue.Execute(new RawCommand(0x00, nsid: 1)).Status);
            }

            Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 299, 10)).Status);
            Assert.True(rig.Data.Slice(0, 512).SequenceEqual(original.AsSpan(299 * 512, 512)));
            Assert.Equal(-1, rig.Data.Slice(512, 4096).IndexOfAnyExcept((byte)0xEE));
            Assert.True(rig.Data.Slice(4608, 512).SequenceEqual(original.AsSpan(308 * 512, 512)));
        }
    }

    private static byte[] MakeBase(string path)
    {
        byte[] content = new byte[Length];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(path, content);
        return content;
    }

    private static byte[] Head(string path)
    {
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, OpenMode.ReadOnly, out FileDescriptor? file));
        using (file)
        {
            byte[] head = new byte[8192];
            Assert.Equal(8192, file!.ReadAt(head, 0).Count);
            return head;
        }
    }
}
