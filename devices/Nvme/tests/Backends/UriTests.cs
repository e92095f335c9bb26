using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Backends;

/// <summary>Backends as texts.</summary>
public sealed class UriTests
{
    [Theory]
    [InlineData("", "accepted")]
    [InlineData("memory:", "number of bytes")]
    [InlineData("memory:64X", "number of bytes")]
    [InlineData("memory:0", "number of bytes")]
    [InlineData("memory:64M?direct=1", "no options")]
    [InlineData("null:lots", "number of bytes")]
    [InlineData("file:", "PATH")]
    [InlineData("file://host/path", "nbd://HOST")]
    [InlineData("file:/x?create=0", "create")]
    [InlineData("file:/x?create=", "create needs a value")]
    [InlineData("file:/x?direct=maybe", "direct=1")]
    [InlineData("file:/x?direct=1&direct=1", "twice")]
    [InlineData("file:/x?cache=none", "known are create, direct, lock, overlay")]
    [InlineData("file:/x?create=1M&readonly=1", "readonly")]
    [InlineData("http://host/image", "there is no 'http:'")]
    [InlineData("disk:1", "'./disk:1'")]
    public void Mistake_says_what_is_accepted(string text, string part)
        => Assert.Contains(part, Assert.Throws<FormatException>(() => NvmeBackendUri.Parse(text)).Message);

    [Fact]
    public void Memory_and_null_have_the_length_that_they_say()
    {
        using INvmeBackend memory = NvmeBackendUri.Parse("memory:3M").Open();
        using INvmeBackend discarding = NvmeBackendUri.Parse("null:1T").Open();

        Assert.Equal((3UL << 20, 1UL << 40), (memory.Length, discarding.Length));
        Assert.False(memory.MayWait || discarding.MayWait);
        Assert.Equal(Errno.None, discarding.Write(1 << 30, new byte[512]));
    }

    [Fact]
    public void Paths_are_percent_decoded_in_uris_and_plain_otherwise()
    {
        using var folder = new TempFolder();
        using (INvmeBackend a = NvmeBackendUri.Parse($"file://{folder["a%20b"]}?create=1M").Open())
        using (INvmeBackend b = NvmeBackendUri.Parse(folder["c%20d?x"]).Open(2 << 20))
        {
            Assert.Equal((1UL << 20, 2UL << 20), (a.Length, b.Length));
        }

        Assert.True(File.Exists(folder["a b"]));
        Assert.True(File.Exists(folder["c%20d?x"]));
        Assert.Contains("create=SIZE", Assert.Throws<FileNotFoundException>(() => NvmeBackendUri.Parse($"file:{folder["missing"]}").Open()).Message);
        Assert.Equal([new NvmeBackendFile("/x", IsReadOnly: true)], NvmeBackendUri.Parse("file:/x?readonly=1").Files);
    }

    [Fact]
    public async Task Each_namespace_has_a_backend_of_its_own()
    {
        using var folder = new TempFolder();
        await using (var rig = new NvmeRig(NvmeOptions.Parse(["backend=memory:1M", $"backend2=file:{folder["disk"]}?create=2M", "backend3=null:4M"])))
        {
            RawQueue queue = rig.CreateQueue(1);
            rig.Data.Slice(0, 512).Fill(0x21);
            foreach (uint nsid in (uint[])[1, 2, 3])
            {
                Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 2047, 1, nsid: nsid)).Status);
                Assert.Equal(nsid == 1 ? 0x80 : 0, queue.Execute(rig.Transfer(0x01, 2048, 1, nsid: nsid)).Status);
            }
        }

        Assert.Equal(0x21, (await File.ReadAllBytesAsync(folder["disk"], TestContext.Current.CancellationToken))[2047 * 512]);
        await using var readOnly = new NvmeRig(NvmeOptions.Parse([$"backend=file:{folder["disk"]}?readonly=1"]));
        Assert.Equal(0x20, readOnly.CreateQueue(1).Execute(readOnly.Transfer(0x01, 0, 1)).Status);
    }

    [Theory]
    [InlineData("backend=memory:1M", "backend3=memory:1M")]
    [InlineData("backend=memory:1M", "file=/tmp/x")]
    [InlineData("backend=memory:1M", "namespaces=2")]
    [InlineData("backend=memory:1M", "backend2=memory:1M", "metafile=/tmp/x")]
    [InlineData("backend0=memory:1M")]
    [InlineData("backend257=memory:1M")]
    [InlineData("backendx=memory:1M")]
    public void Settings_that_do_not_go_together_are_refused(params string[] settings)
        => Assert.Contains("nvme", Assert.Throws<FormatException>(() => NvmeOptions.Parse(settings)).Message);
}
