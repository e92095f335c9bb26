using System.Globalization;
using Vfio.Abi;
using Vfio.Drivers.Nvme;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User;

namespace Vfio.Tool.Tests;

/// <summary><c>vfio serve</c> where memory or the disk runs out: whoever asked is told, and it goes on.</summary>
public sealed class ServeShortageTests
{
    [Fact]
    public async Task Memory_that_finds_no_address_is_ENOMEM_and_the_server_goes_on()
    {
        const ulong Large = 8UL << 30;
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"]);
        await server.WaitUntilListeningAsync();
        using RawVfioUserClient client = RawVfioUserClient.Open(sockets["edu"]);
        using MemFd memory = new("large", Large);
        using (ResourceLimit.Lower(server.Id, ResourceLimit.AddressSpace, AddressSpaceOf(server.Id) + (Large / 2)))
        {
            Assert.Equal(Errno.ENOMEM, client.MapDma(0, Large, memory.Descriptor));
            Assert.Equal(Errno.None, client.MapDma(0, 1 << 20, memory.Descriptor));
            Assert.Equal(0x010000EDu, BitConverter.ToUInt32(client.ReadRegion(0, 0, 4)));
            Assert.Equal(Errno.None, client.UnmapDma(0, 1 << 20));
        }

        Assert.Equal(Errno.None, client.MapDma(0, Large, memory.Descriptor));
        server.Signal("TERM");
        Assert.Equal(0, await server.WaitAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Full_disk_fails_the_writes_and_nothing_else(bool fileSystem)
    {
        const int Room = 1 << 20;
        const int CapacityExceeded = 0x081;
        const int WriteFault = 0x280;
        using ScratchSockets sockets = new();
        string image = Path.Combine(sockets.Folder, fileSystem ? "disk" : string.Empty, "image");
        string serve = $"serve nvme --set file={image} --set size=16M --socket-path {sockets["nvme"]}";
        if (fileSystem)
        {
            // A file system of its own that is too small for its sparse image, in a mount name space that goes with the server.
            Directory.CreateDirectory(sockets["disk"]);
        }

        using ToolProcess server = fileSystem
            ? ToolProcess.StartShell($"exec unshare {(Environment.IsPrivilegedProcess ? "-m" : "-Urm")} /bin/sh -c 'mount -t tmpfs -o size={Room} tmpfs {sockets["disk"]} && exec \"$VFIO\" {serve}'")
            : ToolProcess.Start(serve.Split(' '));
        await server.WaitUntilListeningAsync();
        using ResourceLimit? limit = fileSystem ? null : ResourceLimit.Lower(server.Id, ResourceLimit.FileSize, Room);
        await using (VfioConnection connection = VfioUserConnection.Connect(sockets["nvme"]))
        await using (NvmeController controller = await NvmeController.OpenAsync(connection, new NvmeOptions { AllowWrites = true }, TestContext.Current.CancellationToken))
        {
            NvmeNamespace disk = controller.Namespaces[0];
            byte[] data = new byte[64 << 10];
            Random.Shared.NextBytes(data);
            await disk.WriteAsync(0, data);
            for (int i = 0; i < 20; i++)
            {
                NvmeException refused = await Assert.ThrowsAsync<NvmeException>(async () => await disk.WriteAsync((ulong)(Room + (i * data.Length)) / 512, new byte[Room]));
                Assert.Equal(fileSystem ? CapacityExceeded : WriteFault, (refused.Status?.Value ?? 0) & 0x7FF);
            }

            byte[] back = new byte[data.Length];
            await disk.ReadAsync(0, back);
            Assert.Equal(data, back);
            await disk.WriteAsync(0, back.AsMemory(0, 4096));
        }

        server.Signal("TERM");
        Assert.Equal(0, await server.WaitAsync());
        string line = Assert.Single(server.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries), static line => line.Contains("the storage failed", StringComparison.Ordinal));
        Assert.Contains($"failed to write: {(fileSystem ? Errno.ENOSPC : Errno.EFBIG)}", line, StringComparison.Ordinal);
    }

    private static ulong AddressSpaceOf(int process)
    {
        string line = File.ReadLines($"/proc/{process}/status").Single(static line => line.StartsWith("VmSize:", StringComparison.Ordinal));
        return ulong.Parse(line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }
}
