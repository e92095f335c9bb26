using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 28 to 38: what the server says about the device.</summary>
public sealed class InfoCases : ConformanceTest
{
    private static VfioUserMessage Region(RawVfioUserClient client, uint index, uint argsz)
        => client.Request(VfioUserCommand.DeviceGetRegionInfo, new vfio_region_info { argsz = argsz, index = index });

    private static VfioUserMessage IoFds(RawVfioUserClient client, uint index, uint argsz, uint flags = 0, uint count = 0)
        => client.Request(VfioUserCommand.DeviceGetRegionIoFds, new vfio_user_region_io_fds { argsz = argsz, flags = flags, index = index, count = count });

    [Fact]
    public void Case028_get_info_argsz()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceGetInfo, new vfio_user_device_info { argsz = 15 }));
        using VfioUserMessage reply = client.Request(VfioUserCommand.DeviceGetInfo, Join(Bytes(new vfio_user_device_info { argsz = 32 }), new byte[16]));
        vfio_user_device_info info = reply.Read<vfio_user_device_info>();
        Assert.Equal(16, reply.Payload.Length);
        Assert.Equal((16u, 3u, 9u, 5u), (info.argsz, info.flags, info.num_regions, info.num_irqs));
    }

    [Fact]
    public void Case029_region_info_without_room_for_capabilities()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using VfioUserMessage reply = Region(client, 2, 32);
        vfio_region_info info = reply.Read<vfio_region_info>();
        Assert.Equal(32, reply.Payload.Length);
        Assert.Equal(32u + 16 + (16 * 2), info.argsz);
        Assert.Equal((uint)(RegionFlags.Read | RegionFlags.Write | RegionFlags.Map), info.flags);
        Assert.Equal(0u, info.cap_offset);
        Assert.Equal(0x8000UL, info.size);
        Assert.Equal(0, reply.DescriptorCount);
    }

    [Fact]
    public void Case030_region_info_with_capabilities_and_descriptor()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using VfioUserMessage reply = Region(client, 2, 80);
        vfio_region_info info = reply.Read<vfio_region_info>();
        Assert.Equal(80, reply.Payload.Length);
        Assert.Equal(80u, info.argsz);
        Assert.Equal(32u, info.cap_offset);
        Assert.Equal((uint)(RegionFlags.Read | RegionFlags.Write | RegionFlags.Map | RegionFlags.Capabilities), info.flags);
        ReadOnlySpan<byte> capability = reply.Payload.AsSpan(32);
        Assert.Equal(1, BinaryPrimitives.ReadUInt16LittleEndian(capability));
        Assert.Equal(1, BinaryPrimitives.ReadUInt16LittleEndian(capability[2..]));
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(capability[4..]));
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32LittleEndian(capability[8..]));
        (ulong Offset, ulong Size)[] areas = new (ulong, ulong)[2];
        for (int i = 0; i < 2; i++)
        {
            areas[i] = (BinaryPrimitives.ReadUInt64LittleEndian(capability[(16 + (i * 16))..]), BinaryPrimitives.ReadUInt64LittleEndian(capability[(24 + (i * 16))..]));
        }

        Assert.Equal([(0x1000, 0x1000), (0x4000, 0x2000)], areas);
        Assert.Equal(1, reply.DescriptorCount);
        using FileDescriptor memory = reply.TakeDescriptor(0);
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(Errno.None, MemoryMapping.TryMap(memory, info.offset + areas[i].Offset, (nuint)areas[i].Size, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
            using (mapping)
            {
                mapping!.Span[8] = (byte)(0x40 + i);
                Assert.Equal(mapping.Span[8], client.ReadRegion(2, areas[i].Offset + 8, 1)[0]);
                Assert.Equal(Errno.None, client.WriteRegion(2, areas[i].Offset + 9, [(byte)(0x50 + i)]));
                Assert.Equal((byte)(0x50 + i), mapping.Span[9]);
            }
        }

        Assert.Equal(0x40, pair.Device.SparseLow.Slice(8, 1)[0]);
        Assert.Equal(0x41, pair.Device.SparseHigh.Slice(8, 1)[0]);
    }

    [Fact]
    public void Case031_region_info_as_spdk_asks()
    {
        using RawVfioUserClient client = Serve().ConnectRaw(json: null);
        byte[] body = new byte[4064];
        BinaryPrimitives.WriteUInt32LittleEndian(body, 4064);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(8), 2);
        using VfioUserMessage reply = client.Request(VfioUserCommand.DeviceGetRegionInfo, body);
        Assert.Equal(80, reply.Payload.Length);
        Assert.Equal(1, reply.DescriptorCount);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(8), 0);
        using VfioUserMessage plain = client.Request(VfioUserCommand.DeviceGetRegionInfo, body);
        Assert.Equal(32, plain.Payload.Length);
    }

    [Fact]
    public void Case032_region_info_bad_arguments()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, Region(client, 9, 32));
        AssertError(Errno.EINVAL, Region(client, uint.MaxValue, 32));
        AssertError(Errno.EINVAL, Region(client, 0, 31));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceGetRegionInfo, new byte[31]));
        AssertAlive(client);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(8)]
    public void Case033_region_that_does_not_exist(uint index)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using VfioUserMessage reply = Region(client, index, 4096);
        vfio_region_info info = reply.Read<vfio_region_info>();
        Assert.Equal((32u, 0u, index, 0u, 0UL), (info.argsz, info.flags, info.index, info.cap_offset, info.size));
        Assert.Equal(32, reply.Payload.Length);
    }

    [Fact]
    public void Case034_wholly_mappable_region_with_argsz_32()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using VfioUserMessage reply = Region(client, 3, 32);
        vfio_region_info info = reply.Read<vfio_region_info>();
        Assert.Equal((uint)(RegionFlags.Read | RegionFlags.Write | RegionFlags.Map), info.flags);
        Assert.Equal(32u, info.argsz);
        Assert.Equal(1, reply.DescriptorCount);
        using FileDescriptor memory = reply.TakeDescriptor(0);
        Assert.Equal(Errno.None, MemoryMapping.TryMap(memory, info.offset, (nuint)info.size, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        mapping!.Dispose();
    }

    [Fact]
    public void Case035_region_io_fds_bad_arguments()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, IoFds(client, 0, 16, flags: 1));
        AssertError(Errno.EINVAL, IoFds(client, 0, 16, count: 1));
        AssertError(Errno.EINVAL, IoFds(client, 0, 15));
        AssertError(Errno.EINVAL, IoFds(client, 0, (1 << 20) + 1));
        AssertError(Errno.EINVAL, IoFds(client, 9, 16));
        AssertError(Errno.EINVAL, IoFds(client, 512, 16));
        AssertError(Errno.EINVAL, IoFds(client, 5, 16)); // Never set up.
        using VfioUserMessage none = IoFds(client, 1, 4096);
        vfio_user_region_io_fds info = none.Read<vfio_user_region_io_fds>();
        Assert.Equal((16u, 0u, 1u, 0u), (info.argsz, info.flags, info.index, info.count));
    }

    [Fact]
    public void Case036_region_io_fds_without_room_tell_the_need()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        foreach (uint argsz in new uint[] { 16, 16 + 40, 16 + 79 })
        {
            using VfioUserMessage reply = IoFds(client, 0, argsz);
            vfio_user_region_io_fds info = reply.Read<vfio_user_region_io_fds>();
            Assert.Equal(16, reply.Payload.Length);
            Assert.Equal((16u + 80, 2u), (info.argsz, info.count));
            Assert.Equal(0, reply.DescriptorCount);
        }
    }

    [Theory]
    [InlineData(false, 40)]
    [InlineData(true, 48)]
    public void Case036_region_io_fds_ring_the_device(bool longEntries, int stride)
    {
        DevicePair<ConformanceDevice> pair = Serve(new VfioUserServerOptions { LongIoFdEntries = longEntries });
        using RawVfioUserClient client = pair.ConnectRaw();
        using VfioUserMessage reply = IoFds(client, 0, 4096);
        vfio_user_region_io_fds info = reply.Read<vfio_user_region_io_fds>();
        Assert.Equal((16u + (2 * (uint)stride), 2u), (info.argsz, info.count));
        Assert.Equal(16 + (2 * stride), reply.Payload.Length);
        Assert.Equal(2, reply.DescriptorCount);
        ReadOnlySpan<byte> second = reply.Payload.AsSpan(16 + stride);
        Assert.Equal(ConformanceDevice.DoorbellOffset + 8, BinaryPrimitives.ReadUInt64LittleEndian(second));
        Assert.Equal(8UL, BinaryPrimitives.ReadUInt64LittleEndian(second[8..]));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(second[16..]));
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(second[20..]));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(second[24..]));
        Assert.Equal(7UL, BinaryPrimitives.ReadUInt64LittleEndian(second[(stride - 8)..]));
        for (int i = 0; i < 2; i++)
        {
            using FileDescriptor bell = reply.TakeDescriptor(i);
            Assert.True(bell.IsEventFd());
            Assert.Equal(8, bell.Write(BitConverter.GetBytes(1UL)).Value);
        }

        WaitFor(() => pair.Device.Rings == 2);

        // The same by messages.
        Write32(client, ConformanceDevice.DoorbellOffset, 3);
        Assert.Equal(3, pair.Device.Rings);
    }

    [Fact]
    public void Case037_entries_that_share_an_eventfd()
    {
        using EventFd one = new();
        using EventFd two = new();
        PlainDevice Create() => new()
        {
            Bells =
            [
                new RegionDoorbell(0, 4, one.Descriptor, null),
                new RegionDoorbell(4, 4, two.Descriptor, null),
                new RegionDoorbell(8, 4, one.Descriptor, 5),
            ],
        };
        DevicePair<PlainDevice> pair = Own(DevicePair.Serve(Create));
        using RawVfioUserClient client = pair.ConnectRaw();
        using VfioUserMessage reply = IoFds(client, 0, 4096);
        Assert.Equal(3u, reply.Read<vfio_user_region_io_fds>().count);
        Assert.Equal(2, reply.DescriptorCount);
        uint[] indices = [.. Enumerable.Range(0, 3).Select(i => BitConverter.ToUInt32(reply.Payload, 16 + (i * 40) + 16))];
        Assert.Equal([0, 1, 0], indices);
    }

    [Fact]
    public void Case038_irq_info()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceGetIrqInfo, new vfio_irq_info { argsz = 16, index = 5 }));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceGetIrqInfo, new vfio_irq_info { argsz = 15, index = 0 }));
        uint[] counts = new uint[5];
        for (uint i = 0; i < counts.Length; i++)
        {
            using VfioUserMessage reply = client.Request(VfioUserCommand.DeviceGetIrqInfo, new vfio_irq_info { argsz = 64, index = i });
            vfio_irq_info info = reply.Read<vfio_irq_info>();
            Assert.Equal((16u, i), (info.argsz, info.index));
            Assert.Equal(16, reply.Payload.Length);
            Assert.NotEqual(0u, info.flags & (uint)IrqInfoFlags.EventFd);
            counts[i] = info.count;
        }

        Assert.Equal([1, 0, ConformanceDevice.Vectors, 1, 1], counts);
    }
}
