using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Backends;

/// <summary>The NBD client against the servers that people use: nbdkit and qemu-nbd.</summary>
public sealed class NbdServerTests
{
    private const int MiB = 1 << 20;
    private static int s_ports;

    [Theory]
    [InlineData("nbdkit")]
    [InlineData("nbdkit tcp")]
    [InlineData("nbdkit 4k")]
    [InlineData("nbdkit multiple")]
    [InlineData("nbdkit nozero")]
    [InlineData("qemu-nbd")]
    [InlineData("qemu-nbd tcp")]
    [InlineData("qemu-nbd qcow2")]
    public async Task Namespace_keeps_what_is_written_and_the_file_behind_the_server_has_it(string kind)
    {
        using var folder = new TempFolder();
        string file = folder["disk.img"];
        if (kind == "qemu-nbd qcow2")
        {
            Assert.Equal(0, ExternalProgram.Run("qemu-img", "create", "-f", "qcow2", file, "8M").Status);
        }
        else
        {
            await using FileStream disk = File.Create(file);
            disk.SetLength(8 * MiB);
        }

        string socket = folder["nbd"];
        int port = FreePort();
        using ExternalProgram server = kind switch
        {
            "nbdkit" => new ExternalProgram("nbdkit", "-f", "-U", socket, "file", file),
            "nbdkit tcp" => new ExternalProgram("nbdkit", "-f", "-i", "127.0.0.1", "-p", $"{port}", "file", file),
            "nbdkit 4k" => new ExternalProgram("nbdkit", "-f", "-U", socket, "--filter=blocksize-policy", "file", file, "blocksize-minimum=4096", "blocksize-error-policy=error"),
            "nbdkit multiple" => new ExternalProgram("nbdkit", "-f", "-U", socket, "file", $"dir={Path.GetDirectoryName(file)}"),
            "nbdkit nozero" => new ExternalProgram("nbdkit", "-f", "-U", socket, "--filter=nozero", "file", file, "zeromode=none"),
            "qemu-nbd" => new ExternalProgram("qemu-nbd", "-t", "-f", "raw", "-x", "a b", "-k", socket, file),
            "qemu-nbd tcp" => new ExternalProgram("qemu-nbd", "-t", "-f", "raw", "-b", "127.0.0.1", "-p", $"{port}", file),
            _ => new ExternalProgram("qemu-nbd", "-t", "-f", "qcow2", "--discard=unmap", "-k", socket, file),
        };
        string uri = kind switch
        {
            "nbdkit tcp" or "qemu-nbd tcp" => $"nbd://127.0.0.1:{port}?open-timeout=10",
            "nbdkit multiple" => $"nbd+unix:///disk.img?socket={socket}&open-timeout=10",
            "qemu-nbd" => $"nbd+unix:///a%20b?socket={socket}&open-timeout=10",
            _ => $"nbd+unix:///?socket={socket}&open-timeout=10",
        };
        NvmeRig rig;
        try
        {
            rig = new NvmeRig(NvmeOptions.Parse([$"backend={uri}"]));
        }
        catch (IOException exception)
        {
            Assert.Fail($"{exception.Message} {server.Output}");
            return;
        }

        byte[] expected = new byte[8 * MiB];
        await using (rig)
        {
            RawQueue queue = rig.CreateQueue(1);
            Assert.Equal(1U, rig.Admin.Execute(new RawCommand(0x0A).Set(10, 6)).Result);
            var random = new Random(3);
            for (int round = 0; round < 60; round++)
            {
                int blocks = random.Next(1, 600);
                int block = random.Next((8 * MiB / 512) - blocks);
                Span<byte> data = rig.Data.Slice(0, blocks * 512);
                if (round % 4 == 3)
                {
                    Assert.Equal(0, queue.Execute(rig.Transfer(0x08, (ulong)block, blocks)).Status);
                    expected.AsSpan(block * 512, data.Length).Clear();
                }
                else
                {
                    random.NextBytes(data);
                    data.CopyTo(expected.AsSpan(block * 512));
                    Assert.Equal(0, queue.Execute(rig.Transfer(0x01, (ulong)block, blocks)).Status);
                }

                block = random.Next((8 * MiB / 512) - blocks);
                Assert.Equal(0, queue.Execute(rig.Transfer(0x02, (ulong)block, blocks)).Status);
                Assert.True(rig.Data.Slice(0, blocks * 512).SequenceEqual(expected.AsSpan(block * 512, blocks * 512)), $"round {round} reads something else");
            }

            Assert.Equal(0, queue.Execute(new RawCommand(0x00, nsid: 1)).Status);
        }

        server.Kill();
        if (kind == "qemu-nbd qcow2")
        {
            string raw = folder["raw"];
            Assert.Equal(0, ExternalProgram.Run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", file, raw).Status);
            file = raw;
        }

        Assert.True((await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken)).AsSpan().SequenceEqual(expected), "the file has something else");
    }

    [Fact]
    public async Task Export_that_is_read_only_is_a_namespace_that_is()
    {
        using var folder = new TempFolder();
        using var server = new ExternalProgram("nbdkit", "-f", "-r", "-U", folder["nbd"], "pattern", "size=1M");
        await using var rig = new NvmeRig(NvmeOptions.Parse([$"backend=nbd+unix:///?socket={folder["nbd"]}&open-timeout=10"]));
        RawQueue queue = rig.CreateQueue(1);

        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 1, 1)).Status);
        Assert.Equal(0x0002_0000_0000_0000, BitConverter.ToInt64(rig.Data.Slice(0, 8)));
        Assert.Equal(0x20, queue.Execute(rig.Transfer(0x01, 0, 1)).Status);
    }

    [Fact]
    public void Export_that_is_not_there_is_named()
    {
        using var folder = new TempFolder();
        File.WriteAllBytes(folder["disk.img"], new byte[8192]);
        using var server = new ExternalProgram("qemu-nbd", "-t", "-f", "raw", "-x", "right", "-k", folder["nbd"], folder["disk.img"]);

        // Another name is no reason to wait, so that the socket is waited for here.
        NvmeRig.WaitFor(() => File.Exists(folder["nbd"]), "qemu-nbd does not listen");
        Assert.Contains("it has no export 'wrong'", Assert.Throws<IOException>(() => NvmeBackendUri.Parse($"nbd+unix:///wrong?socket={folder["nbd"]}").Open()).Message);
    }

    [Fact]
    public void Server_that_is_killed_again_and_again_loses_nothing_that_was_acknowledged_and_the_flush_says_that_it_could_have()
    {
        const int Blocks = 2048;
        using var folder = new TempFolder();
        string file = folder["disk.img"];
        File.WriteAllBytes(file, new byte[Blocks * 4096]);
        string socket = folder["nbd"];
        ExternalProgram Start() => new("nbdkit", "-f", "-U", socket, "file", file);
        ExternalProgram server = Start();
        try
        {
            using INvmeBackend backend = NvmeBackendUri.Parse($"nbd+unix:///?socket={socket}&open-timeout=10&reconnect-delay=60").Open();
            Assert.Equal(Errno.None, backend.Flush());
            bool stop = false;
            long[] written = new long[Blocks];
            int failures = 0;
            Thread[] writers = [.. Enumerable.Range(0, 4).Select(index => new Thread(() =>
            {
                // Each has blocks of its own, and every write another content.
                var random = new Random(index);
                byte[] block = new byte[4096];
                for (long number = 1; !Volatile.Read(ref stop); number++)
                {
                    int place = (random.Next(Blocks / 4) * 4) + index;
                    Array.Fill(block, (byte)number);
                    BitConverter.TryWriteBytes(block, number);
                    if (backend.Write((ulong)place * 4096, block) == Errno.None)
                    {
                        written[place] = number;
                    }
                    else
                    {
                        Interlocked.Increment(ref failures);
                    }
                }
            }))];
            Array.ForEach(writers, writer => writer.Start());
            for (int round = 0; round < 5; round++)
            {
                Thread.Sleep(150);
                server.Kill();
                server.Dispose();
                File.Delete(socket);
                Thread.Sleep(50);
                server = Start();
                NvmeRig.WaitFor(() => File.Exists(socket), "nbdkit does not listen again");
            }

            Thread.Sleep(200);
            Volatile.Write(ref stop, true);
            Assert.All(writers, writer => Assert.True(writer.Join(TimeSpan.FromSeconds(30)), "a writer does not end"));
            byte[] found = new byte[4096];
            for (int place = 0; place < Blocks; place++)
            {
                Assert.Equal(Errno.None, backend.Read((ulong)place * 4096, found));
                Assert.Equal(written[place], BitConverter.ToInt64(found));
                Assert.Equal(-1, found.AsSpan(8).IndexOfAnyExcept((byte)written[place]));
            }

            Assert.Equal(0, failures);
            Assert.True(written.Count(static number => number != 0) > 100, "hardly anything was written");
            Assert.Equal(Errno.EIO, backend.Flush());
            Assert.Equal(Errno.EIO, backend.Flush());
        }
        finally
        {
            server.Dispose();
        }
    }

    /// <summary>Below those that the system gives to clients. Who binds a port to look whether it is free has no more of a promise.</summary>
    private static int FreePort() => 20_000 + ((Environment.ProcessId * 16) + Interlocked.Increment(ref s_ports)) % 10_000;
}
