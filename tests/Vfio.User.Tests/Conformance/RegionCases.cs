using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Pci;
using Vfio.Testing;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 60 to 73: region access and configuration space.</summary>
public sealed class RegionCases : ConformanceTest
{
    private const uint Config = (uint)PciRegion.Config;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(3)]
    [InlineData(4096)]
    public void Case060_region_access_is_exact(int count)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        byte[] data = new byte[count];
        new Random(count).NextBytes(data);
        using (VfioUserMessage write = client.Request(VfioUserCommand.RegionWrite, RawVfioUserClient.AccessPayload(1, 0x108, data)))
        {
            AssertEcho(write, 0x108, 1, count);
            Assert.Equal(16, write.Payload.Length);
        }

        Assert.Equal(data, pair.Device.Ram.Bytes[0x108..(0x108 + count)]);
        using VfioUserMessage read = client.Request(VfioUserCommand.RegionRead, new vfio_user_region_access { offset = 0x108, region = 1, count = (uint)count });
        AssertEcho(read, 0x108, 1, count);
        Assert.Equal(data, read.Payload[16..]);
    }

    [Fact]
    public void Case060_widths_reach_the_device_as_they_are()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        foreach (int width in new[] { 1, 2, 4, 8 })
        {
            Assert.Equal(Errno.None, client.WriteRegion(0, 0x10, new byte[width]));
        }

        Assert.Equal([1, 2, 4, 8], pair.Device.Log.Select(static entry => entry.Width));
    }

    [Fact]
    public void Case061_count_0_succeeds_with_the_structure()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using VfioUserMessage read = client.Request(VfioUserCommand.RegionRead, new vfio_user_region_access { offset = 8, region = 1 });
        AssertEcho(read, 8, 1, 0);
        Assert.Equal(16, read.Payload.Length);
        using VfioUserMessage write = client.Request(VfioUserCommand.RegionWrite, new vfio_user_region_access { offset = 8, region = 1 });
        AssertEcho(write, 8, 1, 0);
        Assert.Equal(16, write.Payload.Length);
    }

    [Theory]
    [InlineData(ulong.MaxValue, 1u, 256u)]
    [InlineData(0, 0xDEADBEEFu, 4u)]
    [InlineData(0, 9u, 4u)]
    [InlineData(0, 5u, 4u)]
    [InlineData(0, 1u, (1u << 20) + 8)]
    [InlineData(0, 1u, uint.MaxValue)]
    [InlineData(ConformanceDevice.BigBar - 4, 1u, 8u)]
    [InlineData(ConformanceDevice.BigBar, 1u, 1u)]
    [InlineData(ulong.MaxValue - 3, 1u, 4u)]
    [InlineData(4092, Config, 8u)]
    public void Case062_access_outside_is_EINVAL(ulong offset, uint region, uint count)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.RegionRead, new vfio_user_region_access { offset = offset, region = region, count = count }));
        if (count <= 256)
        {
            Assert.Equal(Errno.EINVAL, client.WriteRegion(region, offset, new byte[count]));
        }

        AssertAlive(client);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(9)]
    [InlineData(0)]
    public void Case062_write_body_that_does_not_match_is_EINVAL(int body)
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        byte[] payload = Join(Bytes(new vfio_user_region_access { offset = 0, region = 0, count = 8 }), new byte[body]);
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.RegionWrite, payload));
        Assert.Empty(pair.Device.Log);
        AssertAlive(client);
    }

    [Fact]
    public void Case063_handler_that_transfers_less_or_fails()
    {
        DevicePair<PlainDevice> pair = Own(DevicePair.Serve(static () => new PlainDevice()));
        using RawVfioUserClient client = pair.ConnectRaw();
        vfio_user_region_access access = new() { offset = 0, region = 0, count = 8 };
        pair.Device.OnRead = static (_, _) => IoResult.Success(4);
        AssertError(Errno.EIO, client.Request(VfioUserCommand.RegionRead, in access));
        pair.Device.OnRead = static (_, _) => Errno.ENODEV;
        AssertError(Errno.ENODEV, client.Request(VfioUserCommand.RegionRead, in access));
        pair.Device.OnWrite = static (_, _) => IoResult.Success(0);
        Assert.Equal(Errno.EIO, client.WriteRegion(0, 0, new byte[8]));
        pair.Device.OnWrite = static (_, _) => Errno.EBUSY;
        Assert.Equal(Errno.EBUSY, client.WriteRegion(0, 0, new byte[8]));
        AssertAlive(client);
    }

    [Fact]
    public void Case063_handler_that_throws_ends_the_connection_alone()
    {
        DevicePair<PlainDevice> pair = Own(DevicePair.Serve(static () => new PlainDevice()));
        pair.Device.OnRead = static (_, _) => throw new InvalidOperationException("The author's mistake.");
        using (RawVfioUserClient client = pair.ConnectRaw())
        {
            client.Send(VfioUserCommand.RegionRead, Bytes(new vfio_user_region_access { count = 8 }));
            Assert.True(client.WaitForEnd());
        }

        WaitFor(() => !pair.Server!.HasClient);
        Assert.Equal(ConnectionEnd.DeviceFailed, pair.Server!.LastEnd);
        using RawVfioUserClient next = pair.ConnectRaw();
        AssertAlive(next);
    }

    [Fact]
    public void Case064_write_multi()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using (VfioUserMessage reply = client.Request(VfioUserCommand.RegionWriteMulti, WriteMulti(200, static i => (0, (ulong)(i % 16) * 8, 8))))
        {
            Assert.Equal(200UL, reply.Read<ulong>());
            Assert.Equal(8, reply.Payload.Length);
        }

        Assert.Equal(Enumerable.Range(0, 200).Select(static i => (ulong)i), pair.Device.Log.Select(static entry => entry.Value));

        // The third fails: two were done.
        using (VfioUserMessage reply = client.Request(VfioUserCommand.RegionWriteMulti, WriteMulti(5, static i => (i == 2 ? 77u : 0, 0, 4))))
        {
            Assert.Equal(Errno.None, reply.Error);
            Assert.Equal(2UL, reply.Read<ulong>());
        }

        using (VfioUserMessage reply = client.Request(VfioUserCommand.RegionWriteMulti, WriteMulti(3, static i => (0, 0, i == 1 ? 9u : 4))))
        {
            Assert.Equal(1UL, reply.Read<ulong>());
        }

        byte[] wrong = WriteMulti(3, static _ => (0, 0, 4));
        BinaryPrimitives.WriteUInt64LittleEndian(wrong, 1UL << 61);
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.RegionWriteMulti, wrong));
        BinaryPrimitives.WriteUInt64LittleEndian(wrong, 4);
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.RegionWriteMulti, wrong));
        BinaryPrimitives.WriteUInt64LittleEndian(wrong, 2);
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.RegionWriteMulti, wrong));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.RegionWriteMulti, wrong.AsSpan(0, 70)));
        AssertAlive(client);
    }

    [Fact]
    public void Case065_write_multi_without_reply()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        client.Send(VfioUserCommand.RegionWriteMulti, VfioUserFlags.NoReply, WriteMulti(3, static i => (0, (ulong)i * 8, 8)));
        Assert.Equal(2UL, Read64(client, 16));
        Assert.False(client.HasInput(TimeSpan.FromMilliseconds(20)));
    }

    [Fact]
    public void Case066_whole_configuration_space()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        byte[] image = client.ReadRegion(Config, 0, 4096);
        Assert.Equal(0x1234, BinaryPrimitives.ReadUInt16LittleEndian(image));
        Assert.Equal(0x5678, BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(2)));
        Assert.NotEqual(0, image[6] & 0x10);
        for (int i = 0; i < 4096; i += 512)
        {
            Assert.Equal(image[i..(i + 4)], client.ReadRegion(Config, (ulong)i, 4));
        }

        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.RegionRead, new vfio_user_region_access { offset = 4092, region = Config, count = 8 }));
    }

    [Fact]
    public void Case067_command_register_takes_any_width()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        void Write(ulong offset, params byte[] bytes) => Assert.Equal(Errno.None, client.WriteRegion(Config, offset, bytes));
        ushort Command() => BinaryPrimitives.ReadUInt16LittleEndian(client.ReadRegion(Config, 4, 2));
        Write(4, 0x46, 0x05);
        Assert.Equal(0x0546, Command());
        Write(4, 0x06);
        Assert.Equal(0x0506, Command());
        Write(5, 0x00);
        Assert.Equal(0x0006, Command());
        Write(4, 0xFF, 0xFF, 0xFF, 0xFF);
        Assert.Equal(0x0557, Command());
        Write(5, 0x00, 0x00);
        Assert.Equal(0x0057, Command());
        Write(0, 0xFF, 0xFF, 0xFF, 0xFF);
        Assert.Equal(0x56781234u, Read32(client, 0, Config));
    }

    [Fact]
    public void Case068_status_bits_are_cleared_by_ones()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        pair.Device.Config.Update(PciRegister.Status, 0xF900, 0xC100);
        Assert.Equal(Errno.None, client.WriteRegion(Config, 6, [0x00, 0x40]));
        Assert.Equal(0x8110u, Read32(client, 4, Config) >> 16);
        Assert.Equal(Errno.None, client.WriteRegion(Config, 6, [0xFF, 0xFF]));
        Assert.Equal(0x0010u, Read32(client, 4, Config) >> 16);
    }

    [Fact]
    public void Case069_bar_sizing()
    {
        static void Shape(PciDeviceBuilder pci) => pci
            .Bar(0, 0x10000, PciBarKind.Memory32, false)
            .Bar(1, 0x40, PciBarKind.Io, false)
            .Bar(2, 8UL << 30, PciBarKind.Memory64, true)
            .Bar(4, 0x1000, PciBarKind.Memory32, true);
        using RawVfioUserClient client = Serve(create: static () => new ConformanceDevice(Shape)).ConnectRaw();
        uint[] expected = [0xFFFF0000, 0xFFFFFFC1, 0x0000000C, 0xFFFFFFFE, 0xFFFFF008, 0];
        for (uint i = 0; i < 6; i++)
        {
            Write32(client, 0x10 + (i * 4), uint.MaxValue, Config);
            Assert.Equal(expected[i], Read32(client, 0x10 + (i * 4), Config));
        }

        Write32(client, 0x10, 0xFEBC0000, Config);
        Assert.Equal(Errno.None, client.WriteRegion(Config, 0x13, [0xAB]));
        Assert.Equal(0xABBC0000u, Read32(client, 0x10, Config));
        Assert.Equal(Errno.None, client.WriteRegion(Config, 0x12, [0xCD]));
        Assert.Equal(0xABCD0000u, Read32(client, 0x10, Config));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Case070_rom_sizing(bool hasRom)
    {
        ConformanceDevice Create() => new(hasRom ? null : static pci => pci.Bar(0, 0x1000, PciBarKind.Memory32, false));
        using RawVfioUserClient client = Serve(create: Create).ConnectRaw();
        Write32(client, 0x30, 0xFFFFF800, Config);
        Assert.Equal(hasRom ? 0xFFFFF000 : 0, Read32(client, 0x30, Config));
        Write32(client, 0x30, 0xFFFFFFFF, Config);
        Assert.Equal(hasRom ? 0xFFFFF001 : 0, Read32(client, 0x30, Config));
        Write32(client, 0x30, 1, Config);
        Assert.Equal(hasRom ? 1u : 0, Read32(client, 0x30, Config));
        Write32(client, 0x30, 0, Config);
        Assert.Equal(0u, Read32(client, 0x30, Config));
        if (hasRom)
        {
            byte[] rom = client.ReadRegion((uint)PciRegion.Rom, 0, 4096);
            Assert.All(rom[..3000], static value => Assert.Equal(0, value));
            Assert.All(rom[3000..], static value => Assert.Equal(0xFF, value));
        }
    }

    [Fact]
    public void Case071_capability_headers_and_ends()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        byte[] before = client.ReadRegion(Config, 0, 256);
        List<int> capabilities = [];
        for (int at = before[0x34]; at != 0; at = before[at + 1])
        {
            capabilities.Add(at);
            Assert.Equal(Errno.None, client.WriteRegion(Config, (ulong)at, [0xFF, 0xFF]));
        }

        Assert.Equal(before, client.ReadRegion(Config, 0, 256));

        // Zeros over everything behind the header, in pieces that cross the ends of capabilities: no structure is damaged.
        for (ulong at = 0x41; at < 0xF0; at += 16)
        {
            Assert.Equal(Errno.None, client.WriteRegion(Config, at, new byte[16]));
        }

        byte[] after = client.ReadRegion(Config, 0, 256);
        List<int> found = [];
        for (int at = after[0x34]; at != 0; at = after[at + 1])
        {
            found.Add(at);
            Assert.Equal(before[at], after[at]);
        }

        Assert.Equal(capabilities, found);
        int vendor = FindCapability(client, 9);
        Assert.Equal(7, after[vendor + 2]);
        Assert.Equal(Errno.None, client.WriteRegion(Config, (ulong)vendor + 3, [0x5A, 0x5B, 0x5C, 0x5D, 0xEE, 0xEE]));
        Assert.Equal([0x5A, 0x5B, 0x5C, 0x5D], client.ReadRegion(Config, (ulong)vendor + 3, 4));
        Assert.Equal(after[vendor + 7], client.ReadRegion(Config, (ulong)vendor + 7, 1)[0]);
    }

    [Fact]
    public void Case072_msix_control_by_any_access()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        ulong msix = (ulong)FindCapability(client, 0x11);
        ushort Control() => BinaryPrimitives.ReadUInt16LittleEndian(client.ReadRegion(Config, msix + 2, 2));
        Assert.Equal(ConformanceDevice.Vectors - 1, Control());
        Assert.Equal(Errno.None, client.WriteRegion(Config, msix + 3, [0xC0, 0x00]));
        Assert.Equal(0xC000 | (ConformanceDevice.Vectors - 1), Control());
        Assert.Equal(Errno.None, client.WriteRegion(Config, msix + 2, [0x00]));
        Assert.Equal(0xC000 | (ConformanceDevice.Vectors - 1), Control());
        Assert.Equal(Errno.None, client.WriteRegion(Config, msix + 2, [0xFF, 0x7F]));
        Assert.Equal(0x4000 | (ConformanceDevice.Vectors - 1), Control());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Case073_function_level_reset(bool capable)
    {
        DevicePair<ConformanceDevice> pair = Serve(create: () => new ConformanceDevice(pci =>
            pci.Bar(0, 0x1000, PciBarKind.Memory32, false).Vendor([1], [0xFF]).Msi(1))
        { FunctionLevelReset = capable });
        using RawVfioUserClient client = pair.ConnectRaw();
        ulong express = (ulong)FindCapability(client, 0x10);
        Assert.Equal(capable ? 0x10000000u : 0, Read32(client, express + 4, Config) & 0x10000000);
        pair.Device.Resets.Clear();
        Assert.Equal(Errno.None, client.WriteRegion(Config, express + 8, [0x10, 0xA8]));
        Assert.Equal(capable ? [ResetKind.FunctionLevel] : [], pair.Device.Resets);
        Assert.Equal(0, client.ReadRegion(Config, express + 9, 1)[0] & 0x80);
    }

    private static void AssertEcho(VfioUserMessage reply, ulong offset, uint region, int count)
    {
        Assert.Equal(Errno.None, reply.Error);
        vfio_user_region_access echo = reply.Read<vfio_user_region_access>();
        Assert.Equal((offset, region, (uint)count), (echo.offset, echo.region, echo.count));
    }

    private static byte[] WriteMulti(int count, Func<int, (uint Region, ulong Offset, uint Count)> entry)
    {
        byte[][] parts = new byte[count + 1][];
        parts[0] = BitConverter.GetBytes((ulong)count);
        for (int i = 0; i < count; i++)
        {
            (uint region, ulong offset, uint width) = entry(i);
            parts[i + 1] = Bytes(new vfio_user_region_write_multi_entry { offset = offset, region = region, count = width, data = (ulong)i });
        }

        return Join(parts);
    }
}
