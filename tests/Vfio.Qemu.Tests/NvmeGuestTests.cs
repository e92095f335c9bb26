using System.Security.Cryptography;
using Vfio.Devices.Nvme;
using Vfio.Qemu.Tests.Harness;
using Vfio.User;

namespace Vfio.Qemu.Tests;

/// <summary>The controller in a real Linux: its own driver binds it, finds the namespaces, and nothing is lost.</summary>
[Collection(GuestCollection.Name)]
public sealed class NvmeGuestTests
{
    private const string Address = "0000:00:04.0";

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public async Task Linux_driver_reads_what_it_wrote(int blockSize)
    {
        using var scratch = new ScratchFolder();
        await using var served = new ServedNvme(scratch, new NvmeOptions { Serial = "GUEST1", Model = "Guest Model", Namespaces = [new() { Size = 32 << 20, BlockSize = blockSize }, new() { Size = 1 << 20 }] });
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { Devices = [served.Device.At(4)] });
        await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ] && [ -b /dev/nvme0n2 ]");
        Assert.Equal("GUEST1", (await guest.RunAsync("cat /sys/class/nvme/nvme0/serial")).Trim());
        Assert.Equal("Guest Model", (await guest.RunAsync("cat /sys/class/nvme/nvme0/model")).Trim());

        // The kernel looks for namespaces concurrently and numbers them as they come.
        string disk = await guest.RunAsync("basename $(dirname $(grep -lx 1 /sys/block/nvme0n*/nsid))");
        Assert.Equal($"{(32 << 20) / 512} {blockSize}", await guest.RunAsync($"echo $(cat /sys/block/{disk}/size /sys/block/{disk}/queue/logical_block_size)"));

        // The page cache is left before the blocks are read back.
        string sums = await guest.RunAsync($"""
            dd if=/dev/urandom of=/tmp/out bs=64k count=128 2>/dev/null
            dd if=/tmp/out of=/dev/{disk} bs=64k seek=7 conv=fsync 2>/dev/null || exit 1
            echo 3 >/proc/sys/vm/drop_caches
            dd if=/dev/{disk} bs=64k skip=7 count=128 2>/dev/null | md5sum | cut -c1-32
            md5sum </tmp/out | cut -c1-32
            """);
        string[] lines = sums.Split('\n');
        Assert.Equal(lines[1], lines[0]);
        await guest.RunAsync("! dmesg | grep -E 'nvme.*(error|timeout|failed|I/O|invalid|bogus|bad)'");
    }

    [Fact]
    public async Task Image_file_holds_what_the_guest_wrote_and_discarded()
    {
        using var scratch = new ScratchFolder();
        string image = scratch.File("disk.img");
        byte[] content = RandomNumberGenerator.GetBytes(4 << 20);
        await File.WriteAllBytesAsync(image, content);
        await using (var served = new ServedNvme(scratch, NvmeOptions.Parse([$"file={image}"])))
        {
            await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { Devices = [served.Device.At(4)] });
            await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
            Assert.Equal(Sum(content), await guest.RunAsync("md5sum </dev/nvme0n1 | cut -c1-32"));
            Assert.Equal("write back", await guest.RunAsync("cat /sys/block/nvme0n1/queue/write_cache"));
            await guest.RunAsync("printf written | dd of=/dev/nvme0n1 bs=1 seek=1000 conv=notrunc,fsync 2>/dev/null");
            await guest.RunAsync("blkdiscard -o 1048576 -l 1048576 /dev/nvme0n1");
        }

        "written"u8.CopyTo(content.AsSpan(1000));
        content.AsSpan(1 << 20, 1 << 20).Clear();
        Assert.Equal(content, await File.ReadAllBytesAsync(image));
    }

    [Fact]
    public async Task Driver_lets_go_and_binds_again_and_resets()
    {
        using var scratch = new ScratchFolder();
        await using var served = new ServedNvme(scratch, new NvmeOptions());
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { Devices = [served.Device.At(4)] });
        await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
        await guest.RunAsync("printf kept | dd of=/dev/nvme0n1 bs=1 seek=512 conv=notrunc,fsync 2>/dev/null");

        // Often: the kernel's memory is handed out anew each time, so that what the controller did to it after the driver let go would show.
        for (int round = 0; round < 20; round++)
        {
            await guest.RunAsync($"echo {Address} >/sys/bus/pci/drivers/nvme/unbind && [ ! -e /dev/nvme0n1 ]");
            await guest.RunAsync($"echo {Address} >/sys/bus/pci/drivers/nvme/bind");
            await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
            Assert.Equal("kept", await guest.RunAsync("dd if=/dev/nvme0n1 bs=1 skip=512 count=4 2>/dev/null"));
        }

        // A function level reset, around which the driver stops and starts the controller.
        Assert.Equal("flr", await guest.RunAsync($"cat /sys/bus/pci/devices/{Address}/reset_method | cut -d' ' -f1"));
        await guest.RunAsync($"echo 1 >/sys/bus/pci/devices/{Address}/reset");
        await guest.WaitUntilAsync("[ \"$(cat /sys/class/nvme/nvme0/state)\" = live ]");
        await guest.RunAsync("echo 1 >/sys/class/nvme/nvme0/reset_controller");
        await guest.WaitUntilAsync("[ \"$(cat /sys/class/nvme/nvme0/state)\" = live ]");
        Assert.Equal("kept", await guest.RunAsync("dd if=/dev/nvme0n1 bs=1 skip=512 count=4 iflag=direct 2>/dev/null || dd if=/dev/nvme0n1 bs=1 skip=512 count=4 2>/dev/null"));
        await guest.CheckKernelAsync();
    }

    [Theory]
    [InlineData("pci=nomsi", false)]
    [InlineData("nvme.use_threaded_interrupts=1", false)]
    [InlineData("", true)]
    [InlineData("pci=nomsi", true)]
    public async Task Linux_driver_works_with_other_interrupts_and_doorbells(string kernelArguments, bool polled)
    {
        using var scratch = new ScratchFolder();
        await using var served = new ServedNvme(scratch, new NvmeOptions { Polled = polled });
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { Devices = [served.Device.At(4)], KernelArguments = kernelArguments });
        await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");

        string sums = await guest.RunAsync("""
            dd if=/dev/urandom of=/tmp/out bs=64k count=16 2>/dev/null
            dd if=/tmp/out of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null || exit 1
            echo 3 >/proc/sys/vm/drop_caches
            dd if=/dev/nvme0n1 bs=64k count=16 2>/dev/null | md5sum | cut -c1-32
            md5sum </tmp/out | cut -c1-32
            """);
        string[] lines = sums.Split('\n');
        Assert.Equal(lines[1], lines[0]);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public async Task Linux_writes_and_checks_protection_information(int blockSize)
    {
        using var scratch = new ScratchFolder();
        MemoryBackend? metadata = null;
        await using var served = new ServedNvme(scratch, new NvmeOptions
        {
            Namespaces = [new() { Size = 16 << 20, BlockSize = blockSize, MetadataSize = 8, Protection = 1, MetadataBackend = size => metadata = new MemoryBackend(size) }],
        });
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { Devices = [served.Device.At(4)] });
        await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
        Assert.Equal($"{(16 << 20) / 512} {blockSize}", await guest.RunAsync("echo $(cat /sys/block/nvme0n1/size /sys/block/nvme0n1/queue/logical_block_size)"));

        string sums = await guest.RunAsync("""
            dd if=/dev/urandom of=/tmp/out bs=64k count=64 2>/dev/null
            dd if=/tmp/out of=/dev/nvme0n1 bs=64k seek=3 conv=fsync 2>/dev/null || exit 1
            echo 3 >/proc/sys/vm/drop_caches
            dd if=/dev/nvme0n1 bs=64k skip=3 count=64 2>/dev/null | md5sum | cut -c1-32
            md5sum </tmp/out | cut -c1-32
            """);
        string[] lines = sums.Split('\n');
        Assert.Equal(lines[1], lines[0]);
        await guest.RunAsync("! dmesg | grep -E 'nvme.*(error|timeout|failed|I/O|invalid|bogus|bad)'");

        // Each block has its number as its reference tag, made by Linux' integrity layer or, where it has none, for it. It is kept with all bits turned.
        uint block = (uint)(3 * 65536 / blockSize);
        byte[] tuple = new byte[8];
        Assert.Equal(Vfio.Abi.Errno.None, metadata!.Read((block + 5) * 8, tuple));
        Assert.Equal(block + 5, ~System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(tuple.AsSpan(4)));
    }

    [Fact]
    public async Task Linux_finds_namespaces_that_come_and_loses_those_that_go()
    {
        using var scratch = new ScratchFolder();
        await using var served = new ServedNvme(scratch, new NvmeOptions { Namespaces = [new() { Size = 4 << 20 }] });
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { Devices = [served.Device.At(4)] });
        await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");

        uint id = served.Controller.AttachNamespace(new NvmeNamespaceOptions { Size = 8 << 20, BlockSize = 4096 });
        await guest.WaitUntilAsync($"grep -lx {id} /sys/block/nvme0n*/nsid");
        string disk = await guest.RunAsync($"basename $(dirname $(grep -lx {id} /sys/block/nvme0n*/nsid))");
        Assert.Equal($"{(8 << 20) / 512}", await guest.RunAsync($"cat /sys/block/{disk}/size"));
        await guest.RunAsync($"printf there | dd of=/dev/{disk} bs=4096 conv=notrunc,fsync 2>/dev/null");

        Assert.True(served.Controller.DetachNamespace(id));
        await guest.WaitUntilAsync($"[ ! -e /sys/block/{disk} ]");
        Assert.Equal("1", await guest.RunAsync("cat /sys/block/nvme0n*/nsid"));
    }

    [Fact]
    public async Task Withdrawal_under_a_mounted_file_system_keeps_what_was_synchronized()
    {
        using var scratch = new ScratchFolder();
        string image = scratch.File("disk.img");
        await using var served = new ServedNvme(scratch, NvmeOptions.Parse([$"file={image}", "size=32M"]));
        await using (GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions { DiskTools = true, Memory = 512, Devices = [served.Device.At(4)] }))
        {
            await guest.WaitUntilAsync("[ -b /dev/nvme0n1 ]");
            await guest.RunAsync("mkfs.ext4 -q /dev/nvme0n1 && mkdir -p /mnt && mount /dev/nvme0n1 /mnt && echo kept-in-the-image >/mnt/file && sync");

            // QEMU 11.1 does not listen for the request interrupt of vfio-user devices: the request loop's second turn disconnects it.
            await served.WithdrawAsync();
            Assert.Equal(ConnectionEnd.DeviceWithdrawn, served.LastEnd);
            Assert.Equal("kept-in-the-image", await guest.RunAsync("cat /mnt/file"));
        }

        // The file is free again for the next who opens it, with what the guest had synchronized.
        using FileStream file = new(image, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        byte[] content = new byte[file.Length];
        await file.ReadExactlyAsync(content);
        Assert.True(content.AsSpan().IndexOf("kept-in-the-image"u8) > 0);
    }

#pragma warning disable CA5351 // A checksum that the guest's tools know; nothing depends on its strength.
    private static string Sum(byte[] bytes) => Convert.ToHexStringLower(MD5.HashData(bytes));
#pragma warning restore CA5351

    /// <summary>A controller on a socket.</summary>
    private sealed class ServedNvme : IAsyncDisposable
    {
        private readonly VfioHost _host = new();
        private readonly NvmeDevice _device;
        private readonly VfioRegistration _registration;
        private bool _isPut;
        private readonly VfioUserServer _server;

        public ServedNvme(ScratchFolder scratch, NvmeOptions options)
        {
            _device = _host.Allocate(() => new NvmeDevice(options));
            _registration = _host.RegisterEmulatedIommuDevice(_device, "nvme0");
            _server = VfioUserServer.Listen(_host, "nvme0", scratch.File("nvme.sock"));
        }

        public NvmeDevice Controller => _device;

        public QemuDevice Device => QemuDevice.VfioUser(_server.SocketPath!);

        public ConnectionEnd LastEnd => _server.LastEnd;

        /// <summary>Takes the device away, with the kernel's request loop in a hurry: its turns do not take ten seconds.</summary>
        public async Task WithdrawAsync()
        {
            using CancellationTokenSource hurry = new();
            Task withdrawn = _registration.UnregisterAsync(hurry.Token);
            await hurry.CancelAsync();
            await withdrawn.WaitAsync(TimeSpan.FromSeconds(60));
            _device.Put();
            _isPut = true;
        }

        public async ValueTask DisposeAsync()
        {
            await _server.DisposeAsync();
            await _host.DisposeAsync();
            if (!_isPut)
            {
                _device.Put();
            }
        }
    }
}
