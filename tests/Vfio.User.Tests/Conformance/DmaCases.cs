using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 47 to 59: DMA_MAP and DMA_UNMAP.</summary>
public sealed class DmaCases : ConformanceTest
{
    private const ulong Page = 4096;
    private const VfioUserDmaMapFlags ReadWrite = VfioUserDmaMapFlags.Readable | VfioUserDmaMapFlags.Writeable;

    private static VfioUserMessage Map(RawVfioUserClient client, vfio_user_dma_map map, params FileDescriptor[] descriptors)
        => client.Request(VfioUserCommand.DmaMap, Bytes(in map), descriptors);

    private static vfio_user_dma_map Mapping(ulong address, ulong size, ulong offset = 0, VfioUserDmaMapFlags flags = ReadWrite)
        => new() { argsz = 32, flags = (uint)flags, fd_offset = offset, address = address, size = size };

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0x1000, 0)]
    [InlineData(0x123, 0)]
    [InlineData(0x1FFF, (int)VfioUserDmaMapFlags.FileIo)]
    [InlineData(0x123, (int)VfioUserDmaMapFlags.Mmap)]
    public void Case047_mapped_memory_is_reached_both_ways(ulong offset, int mode)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using FakeGuestMemory memory = new(0, 0x4000, seal: false);
        AssertOk(Map(client, Mapping(0x10000, 0x1000, offset, ReadWrite | (VfioUserDmaMapFlags)mode), memory.Descriptor));
        new Random(47).NextBytes(memory.Span);
        StartDma(client, 0x10000, 0x1000, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal(memory.Slice(offset, 0x1000), pair.Device.DmaBytes.AsSpan(0, 0x1000));

        pair.Device.DmaBytes.AsSpan(0, 100).Fill(0x77);
        StartDma(client, 0x10000 + 0xF00, 100, ControlBlock.WriteInHandler);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal(pair.Device.DmaBytes.AsSpan(0, 100), memory.Slice(offset + 0xF00, 100));
    }

    [Fact]
    public void Case047_rights_are_kept()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using FakeGuestMemory memory = new(0, 0x4000);
        AssertOk(Map(client, Mapping(0, Page, 0, VfioUserDmaMapFlags.Readable), memory.Descriptor));
        AssertOk(Map(client, Mapping(Page, Page, Page, VfioUserDmaMapFlags.Writeable), memory.Descriptor));
        StartDma(client, 0, 4, ControlBlock.WriteInHandler);
        Assert.Equal(Errno.EPERM, pair.Device.LastDmaError);
        StartDma(client, Page, 4, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.EPERM, pair.Device.LastDmaError);
        StartDma(client, 0, 4, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        StartDma(client, Page, 4, ControlBlock.WriteInHandler);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        StartDma(client, 2 * Page, 4, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.ENOENT, pair.Device.LastDmaError);
    }

    [Fact]
    public void Case048_without_descriptor_memory_is_reached_by_messages()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        Assert.Equal(Errno.None, client.MapDma(0x10000, 0x1000));
        StartDma(client, 0x10010, 8, ControlBlock.ReadInWork);
        using VfioUserMessage request = client.Expect(VfioUserCommand.DmaRead);
        vfio_user_dma_access access = request.Read<vfio_user_dma_access>();
        Assert.Equal((0x10010UL, 8UL), (access.address, access.count));
        client.Reply(request, Join(Bytes(in access), [1, 2, 3, 4, 5, 6, 7, 8]));
        WaitFor(() => pair.Device.DmaDone == 1);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], pair.Device.DmaBytes[..8]);
    }

    [Fact]
    public void Case048_by_option_descriptors_are_left_alone()
    {
        DevicePair<ConformanceDevice> pair = Serve(new VfioUserServerOptions { MessageDma = true });
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory();
        ProcessResources before = ProcessResources.Capture();
        Assert.Equal(Errno.None, client.MapDma(0x10000, 0x1000, memory.Descriptor));
        AssertNothingLeft(before);
        pair.Device.DmaBytes[0] = 9;
        StartDma(client, 0x10010, 1, ControlBlock.WriteInWork);
        using VfioUserMessage request = client.Expect(VfioUserCommand.DmaWrite);
        Assert.Equal(9, request.Payload[16]);
        client.Reply(request, request.Read<vfio_user_dma_access>());
        WaitFor(() => pair.Device.DmaDone == 1);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
    }

    [Fact]
    public void Case048_statistics_and_log_tell_how_memory_is_reached()
    {
        using RecordingLoggers logs = new(LogLevel.Debug);
        DevicePair<ConformanceDevice> pair = Own(DevicePair.Serve(
            static () => new ConformanceDevice(), new DevicePairOptions { Host = new VfioHostOptions { LoggerFactory = logs } }));
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory(0x4000);
        using MemFd shrinking = new("test-memory", 0x4000, sealable: false);
        for (ulong i = 0; i < 3; i++)
        {
            Assert.Equal(Errno.None, client.MapDma(i * Page, Page, memory.Descriptor, i * Page));
        }

        Assert.Equal(Errno.None, client.MapDma(0x10000, 0x3000, shrinking.Descriptor));
        Assert.Equal(Errno.None, client.MapDma(0x20000, Page, shrinking.Descriptor));
        Assert.Equal(Errno.None, client.MapDma(0x30000, 0x800));
        ServerStatistics statistics = pair.Server!.GetStatistics();
        Assert.Equal((6, 0x3000 + 0x4000 + 0x800UL), (statistics.DmaAreas, statistics.DmaBytes));
        Assert.Equal(new AreaUsage(3, 0x3000), statistics.DmaMapped);
        Assert.Equal(new AreaUsage(2, 0x4000), statistics.DmaByDescriptor);
        Assert.Equal(new AreaUsage(1, 0x800), statistics.DmaByMessage);
        Assert.Equal((1, 1), (statistics.DmaMappings, statistics.DmaDescriptors));
        string[] lines = [.. logs.Lines.Where(static line => line.Contains("is reached this way", StringComparison.Ordinal))];
        Assert.Equal(3, lines.Length);
        Assert.Contains(": descriptor (first at 0x10000, 12288 bytes)", lines[1], StringComparison.Ordinal);

        Assert.Equal(Errno.None, client.UnmapDma(0, 0, VfioUserDmaUnmapFlags.UnmapAll));
        statistics = pair.Server!.GetStatistics();
        Assert.Equal((0, 0, 0, 0), (statistics.DmaAreas, statistics.DmaByMessage.Areas, statistics.DmaMappings, statistics.DmaDescriptors));
    }

    [Fact]
    public void Case049_bad_maps_are_refused()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using MemFd memory = Memory(0x4000);
        using FileDescriptor directory = Open("/tmp", OpenMode.ReadOnly);
        using FileDescriptor zero = Open("/dev/null", OpenMode.ReadWrite);
        using EventFd eventFd = new();
        ProcessResources before = ProcessResources.Capture();

        vfio_user_dma_map good = Mapping(0, 0x1000);
        AssertError(Errno.EINVAL, Map(client, good with { argsz = 31 }, memory.Descriptor));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DmaMap, Bytes(in good).AsSpan(0, 31)));
        AssertError(Errno.EINVAL, Map(client, good with { flags = 3 | 16 }, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good with { flags = 3 | 4 | 8 }, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good with { flags = 3 | 4 }));
        AssertError(Errno.EINVAL, Map(client, good with { flags = 3 | 8 }));
        AssertError(Errno.EINVAL, Map(client, good with { flags = 0 }, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good with { size = 0 }, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good with { address = ulong.MaxValue, size = 2 }, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good with { address = ulong.MaxValue - 0xFFF, size = 0x1001 }));
        AssertError(Errno.EINVAL, Map(client, good, memory.Descriptor, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good with { size = 0x4001 }, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good with { fd_offset = 0x3001, size = 0x1000 }, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good with { fd_offset = ulong.MaxValue - 0xFFF }, memory.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good, directory));
        AssertError(Errno.EINVAL, Map(client, good, eventFd.Descriptor));
        AssertError(Errno.EINVAL, Map(client, good, client.Socket.Descriptor));

        // Nothing of it stays, and the place is free.
        AssertNothingLeft(before);
        AssertOk(Map(client, good, memory.Descriptor));
    }

    [Fact]
    public void Case049_map_that_ends_at_the_last_address_is_accepted()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using MemFd memory = Memory(0x4000);
        Assert.Equal(Errno.None, client.MapDma(ulong.MaxValue - 0xFFF, 0x1000, memory.Descriptor));
        Assert.Equal(Errno.None, client.UnmapDma(ulong.MaxValue - 0xFFF, 0x1000));
    }

    [Fact]
    public void Case050_overlap_is_EEXIST_and_neighbours_are_accepted()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, client.MapDma(0x2000, 0x2000, memory.Descriptor));
        Assert.Equal(Errno.EEXIST, client.MapDma(0x3000, 0x2000, memory.Descriptor));
        Assert.Equal(Errno.EEXIST, client.MapDma(0x1000, 0x2000, memory.Descriptor));
        Assert.Equal(Errno.EEXIST, client.MapDma(0, 0x10000, memory.Descriptor));
        Assert.Equal(Errno.EEXIST, client.MapDma(0x3FFF, 1));
        Assert.Equal(Errno.None, client.MapDma(0x1000, 0x1000, memory.Descriptor));
        Assert.Equal(Errno.None, client.MapDma(0x4000, 0x1000));
    }

    [Fact]
    public void Case051_identical_map_is_EEXIST()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, client.MapDma(0x2000, 0x2000, memory.Descriptor));
        Assert.Equal(Errno.EEXIST, client.MapDma(0x2000, 0x2000, memory.Descriptor));
    }

    [Fact]
    public void Case052_too_many_maps()
    {
        DevicePair<ConformanceDevice> pair = Serve(new VfioUserServerOptions { MaximumDmaMaps = 2, ClientMemory = DescriptorMemoryPolicy.NeverMap });
        using RawVfioUserClient client = pair.ConnectRaw();
        using FakeGuestMemory memory = new(0, 0x4000);
        Assert.Equal(Errno.None, client.MapDma(0, Page, memory.Descriptor));
        Assert.Equal(Errno.None, client.MapDma(Page, Page, memory.Descriptor, Page));
        ProcessResources before = ProcessResources.Capture();
        Assert.Equal(Errno.ENOSPC, client.MapDma(2 * Page, Page, memory.Descriptor));
        AssertNothingLeft(before);
        memory.Write(Page, 0x12345678u);
        StartDma(client, Page, 4, ControlBlock.ReadInHandler);
        Assert.Equal(0x12345678u, MemoryMarshal.Read<uint>(pair.Device.DmaBytes));
        Assert.Equal(Errno.None, client.UnmapDma(0, Page));
        Assert.Equal(Errno.None, client.MapDma(2 * Page, Page, memory.Descriptor));
    }

    [Fact]
    public void Case052_mappings_of_the_process_are_not_used_up()
    {
        DevicePair<ConformanceDevice> pair = Serve(new VfioUserServerOptions { MaximumMappings = 3 });
        using RawVfioUserClient client = pair.ConnectRaw();
        FakeGuestMemory[] files = [.. Enumerable.Range(0, 8).Select(static _ => new FakeGuestMemory(0, Page))];
        int before = CountMappings("guest-memory");
        for (uint i = 0; i < files.Length; i++)
        {
            files[i].Write(0, i);
            Assert.Equal(Errno.None, client.MapDma(i * Page, Page, files[i].Descriptor));
        }

        Assert.Equal(3, CountMappings("guest-memory") - before);
        for (uint i = 0; i < files.Length; i++)
        {
            StartDma(client, i * Page, 4, ControlBlock.ReadInHandler);
            Assert.Equal(i, MemoryMarshal.Read<uint>(pair.Device.DmaBytes));
        }

        // What an unmap gives back may be mapped again.
        Assert.Equal(Errno.None, client.UnmapDma(0, 0, VfioUserDmaUnmapFlags.UnmapAll));
        Assert.Equal(before, CountMappings("guest-memory"));
        Assert.Equal(Errno.None, client.MapDma(0, Page, files[7].Descriptor));
        Assert.Equal(1, CountMappings("guest-memory") - before);
        Array.ForEach(files, static file => file.Dispose());
    }

    [Theory]
    [InlineData(VfioUserDmaMapFlags.Mmap, 4)]
    [InlineData(VfioUserDmaMapFlags.FileIo, 1)]
    public void Case052_sixty_thousand_maps_of_one_file_cost_a_handful_of_mappings_and_descriptors(VfioUserDmaMapFlags mode, int most)
    {
        const uint Maps = 60_000;
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd file = new("many-maps", 2UL << 30);
        int mappings = CountMappings("many-maps");
        int descriptors = CountDescriptors();

        // Offsets run against the addresses and over the end of a gibibyte, so that no two maps are neighbours in both.
        static ulong Offset(uint i) => (1UL << 30) + ((Maps / 2) * Page) - (i * Page);
        const VfioUserFlags Posted = VfioUserFlags.Command | VfioUserFlags.NoReply;
        for (uint i = 0; i < Maps; i++)
        {
            client.Send(VfioUserCommand.DmaMap, Posted, Bytes(Mapping(i * Page, Page, Offset(i), ReadWrite | mode)), file.Descriptor);
        }

        AssertAlive(client);
        Assert.Equal((int)Maps, pair.Server!.GetStatistics().DmaAreas);
        Assert.InRange(CountMappings("many-maps") - mappings + CountDescriptors() - descriptors, 1, most);
        foreach (uint i in new uint[] { 0, 1, (Maps / 2) - 1, Maps / 2, Maps - 1 })
        {
            Assert.Equal(4, file.Descriptor.WriteAt(BitConverter.GetBytes(i + 1), Offset(i)).Count);
            StartDma(client, i * Page, 4, ControlBlock.ReadInHandler);
            Assert.Equal(i + 1, MemoryMarshal.Read<uint>(pair.Device.DmaBytes));
        }

        Assert.Equal(Errno.None, client.UnmapDma(0, (Maps - 1) * Page));
        StartDma(client, (Maps - 1) * Page, 4, ControlBlock.WriteInHandler);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal(Errno.None, client.UnmapDma(0, 0, VfioUserDmaUnmapFlags.UnmapAll));
        Assert.Equal(mappings, CountMappings("many-maps"));
        Assert.InRange(CountDescriptors(), 0, descriptors);
    }

    [Fact]
    public void Case053_beyond_8_TiB_is_ENOSPC()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        Assert.Equal(Errno.ENOSPC, client.MapDma(0, (8UL << 40) + Page));
        Assert.Equal(Errno.None, client.MapDma(0, 8UL << 40));
    }

    [Fact]
    public void Case054_unmap()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory();
        for (ulong i = 0; i < 4; i++)
        {
            Assert.Equal(Errno.None, client.MapDma(i * 2 * Page, 2 * Page, memory.Descriptor, i * 2 * Page));
        }

        using (VfioUserMessage reply = client.Request(VfioUserCommand.DmaUnmap, new vfio_user_dma_unmap { argsz = 24, address = 0, size = 2 * Page }))
        {
            Assert.Equal(Errno.None, reply.Error);
            Assert.Equal(24, reply.Payload.Length);
            vfio_user_dma_unmap echo = reply.Read<vfio_user_dma_unmap>();
            Assert.Equal((24u, 0u, 0UL, 2 * Page), (echo.argsz, echo.flags, echo.address, echo.size));
        }

        Assert.Equal(Errno.ENOENT, client.UnmapDma(0, 2 * Page));
        Assert.Equal(Errno.ENOENT, client.UnmapDma(2 * Page, Page));
        Assert.Equal(Errno.ENOENT, client.UnmapDma(3 * Page, Page));
        Assert.Equal(Errno.ENOENT, client.UnmapDma(2 * Page, 3 * Page));
        Assert.Equal(Errno.ENOENT, client.UnmapDma(3 * Page, 3 * Page));
        Assert.Equal(Errno.EINVAL, client.UnmapDma(0, 0));
        Assert.Equal(Errno.EINVAL, client.UnmapDma(ulong.MaxValue, 2));
        Assert.Equal(Errno.EINVAL, client.UnmapDma(0, 2 * Page, (VfioUserDmaUnmapFlags)4));
        Assert.Equal(Errno.EINVAL, client.UnmapDma(0, 2 * Page, VfioUserDmaUnmapFlags.UnmapAll));
        Assert.Equal(Errno.EINVAL, client.UnmapDma(0, 0, VfioUserDmaUnmapFlags.UnmapAll | VfioUserDmaUnmapFlags.GetDirtyBitmap));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DmaUnmap, new vfio_user_dma_unmap { argsz = 8, size = Page }));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DmaUnmap, new vfio_user_dma_unmap { argsz = (1 << 20) + 1, size = Page }));

        // A range that covers several mappings removes them all (as the kernel; no reference client does it).
        StartDma(client, 4 * Page, 4, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.None, pair.Device.LastDmaError);
        Assert.Equal(Errno.None, client.UnmapDma(2 * Page, 4 * Page));
        StartDma(client, 4 * Page, 4, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.ENOENT, pair.Device.LastDmaError);

        Assert.Equal(Errno.None, client.UnmapDma(0, 0, VfioUserDmaUnmapFlags.UnmapAll));
        StartDma(client, 6 * Page, 4, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.ENOENT, pair.Device.LastDmaError);
        Assert.Equal(Errno.None, client.UnmapDma(0, 0, VfioUserDmaUnmapFlags.UnmapAll));
    }

    [Fact]
    public void Case054_unmap_of_nothing_by_qemu_succeeds()
    {
        using RawVfioUserClient client = Serve().ConnectRaw(RawVfioUserClient.QemuCapabilities);
        Assert.Equal(Errno.None, client.UnmapDma(0, 0x100000));
        Assert.Equal(Errno.None, client.MapDma(0x1000, 0x2000));
        Assert.Equal(Errno.ENOENT, client.UnmapDma(0, 0x2000));
        Assert.Equal(Errno.None, client.UnmapDma(0, 0x100000));
    }

    [Fact]
    public void Case054_unmap_with_dirty_bitmap()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, client.MapDma(0, 16 * Page, memory.Descriptor));
        byte[] Request(uint argsz, ulong pageSize, ulong size) => Join(
            Bytes(new vfio_user_dma_unmap { argsz = argsz, flags = 1, address = 0, size = 16 * Page }),
            Bytes(new vfio_user_bitmap { pgsize = pageSize, size = size }));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DmaUnmap, Request(48, Page, 8))); // Not logging.
        AssertOk(client.Request(VfioUserCommand.DeviceFeature, Feature(6 | (1 << 17), 24, Bytes(new vfio_user_dma_logging_control { page_size = Page }))));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DmaUnmap, Request(47, Page, 8)));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DmaUnmap, Request(48, Page, 7)));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DmaUnmap, Request(48, 3, 8)));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DmaUnmap, Request(48, Page, 8).AsSpan(0, 39)));
        StartDma(client, (3 * Page) + 5, 4, ControlBlock.WriteInHandler);
        using VfioUserMessage reply = client.Request(VfioUserCommand.DmaUnmap, Request(48, Page, 8));
        Assert.Equal(Errno.None, reply.Error);
        Assert.Equal(48, reply.Payload.Length);
        Assert.Equal(0x8UL, reply.Read<ulong>(40));
    }

    [Fact]
    public void Case055_unmap_with_a_descriptor()
    {
        using RawVfioUserClient client = Serve().ConnectRaw(json: null);
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, client.MapDma(0, Page, memory.Descriptor));
        ProcessResources before = ProcessResources.Capture();
        AssertOk(client.Request(VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, size = Page }), memory.Descriptor));
        AssertAlive(client);
        AssertNothingLeft(before);
    }

    [Fact]
    public void Case056_unmap_on_a_device_without_dma()
    {
        using RawVfioUserClient client = Own(DevicePair.Serve(static () => new PlainDevice())).ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, client.MapDma(0, Page, memory.Descriptor));
        using VfioUserMessage reply = client.Request(VfioUserCommand.DmaUnmap, new vfio_user_dma_unmap { argsz = 24, size = Page });
        Assert.Equal(Errno.None, reply.Error);
        Assert.Equal(24, reply.Payload.Length);
    }

    [Fact]
    public void Case057_unmap_waits_for_a_copy_under_way()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.None, client.MapDma(0, Page, memory.Descriptor));
        using ManualResetEventSlim opened = new(false);
        using ManualResetEventSlim finish = new(false);
        bool copied = false;
        Thread copier = new(() =>
        {
            Assert.Equal(Errno.None, pair.Device.Dma.TryOpenWindow(0, 64, DmaAccess.Write, out DmaWindow window));
            opened.Set();
            finish.Wait();
            window.Span.Fill(0x57);
            Volatile.Write(ref copied, true);
            window.Dispose();
        });
        copier.Start();
        opened.Wait();
        client.Send(VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, size = Page }));
        Assert.False(client.HasInput(TimeSpan.FromMilliseconds(100)));
        finish.Set();
        AssertOk(client.ReceiveMessage());
        Assert.True(Volatile.Read(ref copied));
        copier.Join();
        StartDma(client, 0, 4, ControlBlock.ReadInHandler);
        Assert.Equal(Errno.ENOENT, pair.Device.LastDmaError);
    }

    [Fact]
    public void Case057_unmap_asks_for_pins_back()
    {
        DmaPin? pin = null;
        ConformanceDevice device = new() { Pins = true };
        device.Unmapping = (_, _) => Interlocked.Exchange(ref pin, null)?.Dispose();
        DevicePair<ConformanceDevice> pair = Serve(create: () => device);
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory();
        Assert.Equal(Errno.EINVAL, client.MapDma(0, 100, memory.Descriptor));
        Assert.Equal(Errno.None, client.MapDma(0, Page, memory.Descriptor));
        Assert.Equal(Errno.None, device.Dma.TryPin(0, 64, DmaAccess.Write, out pin));
        Assert.Equal(Errno.None, client.UnmapDma(0, Page));
        Assert.Null(pin);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Case058_memory_that_is_truncated_after_the_map(bool sealable)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = new("shrinking", 0x4000, sealable);
        Assert.Equal(Errno.None, client.MapDma(0, 0x4000, memory.Descriptor));
        Errno shrunk = memory.Descriptor.TrySetLength(0);
        StartDma(client, 0x1000, 16, ControlBlock.ReadInHandler);
        Errno read = pair.Device.LastDmaError;
        StartDma(client, 0x1000, 16, ControlBlock.WriteInHandler);
        Errno write = pair.Device.LastDmaError;

        // Either nobody can shrink it any more, or the device gets an error: the process lives in both.
        Assert.Equal(sealable ? (Errno.EPERM, Errno.None, Errno.None) : (Errno.None, Errno.EFAULT, write), (shrunk, read, write));
        AssertAlive(client);
    }

    [Fact]
    public void Case058_file_that_is_truncated_after_the_map()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[0x2000]);
            using FileDescriptor file = Open(path, OpenMode.ReadWrite);
            Assert.Equal(Errno.None, client.MapDma(0, 0x2000, file));
            File.WriteAllBytes(path, []);
            StartDma(client, 0x1000, 16, ControlBlock.ReadInHandler);
            Assert.Equal(Errno.EFAULT, pair.Device.LastDmaError);
            AssertAlive(client);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Case059_burst_of_64_maps()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw(RawVfioUserClient.QemuCapabilities);
        using FakeGuestMemory memory = new(0, 64 * Page);
        ushort[] ids = new ushort[64];
        for (uint i = 0; i < ids.Length; i++)
        {
            ids[i] = client.Send(VfioUserCommand.DmaMap, Bytes(Mapping(i * 2 * Page, Page, i * Page)), memory.Descriptor);
            memory.Write(i * Page, i + 1);
        }

        foreach (ushort id in ids)
        {
            AssertOk(client.ReceiveReply(id, VfioUserCommand.DmaMap));
        }

        foreach (uint i in new uint[] { 0, 31, 63 })
        {
            StartDma(client, i * 2 * Page, 4, ControlBlock.ReadInHandler);
            Assert.Equal(i + 1, MemoryMarshal.Read<uint>(pair.Device.DmaBytes));
        }
    }

    [Fact]
    public void Case080_disconnect_unmaps_everything()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using MemFd memory = Memory();
        using (RawVfioUserClient client = pair.ConnectRaw())
        {
            Assert.Equal(Errno.None, client.MapDma(0, Page, memory.Descriptor));
        }

        WaitFor(() => !pair.Server!.HasClient);
        using RawVfioUserClient next = pair.ConnectRaw();
        Assert.Equal(Errno.None, next.MapDma(0, Page, memory.Descriptor));
    }

    private static int CountMappings(string file) => File.ReadLines("/proc/self/maps").Count(line => line.Contains(file, StringComparison.Ordinal));

    private static FileDescriptor Open(string path, OpenMode mode)
    {
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, mode, out FileDescriptor? descriptor));
        return descriptor!;
    }
}
