using System.Buffers.Binary;
using System.Diagnostics;
using Vfio.Abi;
using Vfio.Testing;
using Vfio.TestUtilities;
using Xunit;

namespace Vfio.Devices.Igb.Tests;

public sealed class IgbDeviceTests
{
    [Theory]
    [InlineData("general")]
    [InlineData("interrupts")]
    [InlineData("buffers")]
    [InlineData("switch")]
    [InlineData("statistics")]
    [InlineData("filters")]
    [InlineData("miscellaneous")]
    [InlineData("receive queues")]
    [InlineData("transmit queues")]
    [InlineData("virtual function")]
    public void Readme_shows_the_registers_as_they_are_declared(string table)
    {
        string declared = table switch
        {
            "general" => GeneralRegisters.RegistersMarkdown,
            "interrupts" => CauseRegisters.RegistersMarkdown,
            "buffers" => BufferRegisters.RegistersMarkdown,
            "switch" => SwitchRegisters.RegistersMarkdown,
            "statistics" => StatisticsRegisters.RegistersMarkdown,
            "filters" => FilterRegisters.RegistersMarkdown,
            "miscellaneous" => MiscellaneousRegisters.RegistersMarkdown,
            "receive queues" => ReceiveQueueRegisters.RegistersMarkdown,
            "virtual function" => VirtualRegisters.RegistersMarkdown,
            _ => TransmitQueueRegisters.RegistersMarkdown,
        };
        (string expected, string actual) = RegisterTable.Read("devices/Igb/README.md", declared, table);
        Assert.Equal(expected, actual);
    }

    [Fact]
    public async Task Identity_and_nvm_are_those_of_an_82576()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(new IgbOptions { Address = Nic.AddressOf(7) });
        VfioRegion bar = pair.Connection.Bar(0);

        Assert.Equal(0x10C9_8086U, pair.Connection.Config.Read32(0));
        ushort sum = 0;
        for (uint word = 0; word < 0x40; word++)
        {
            bar.Write32(0x14, (word << 2) | 1);
            uint value = bar.Read32(0x14);
            Assert.Equal(2U, value & 3);
            sum += (ushort)(value >> 16);
        }

        Assert.Equal(0xBABA, sum);
        bar.Write32(0x14, 1);
        Assert.Equal(0x5452, (int)(bar.Read32(0x14) >> 16));
        Assert.Equal(0x0000_5452U, bar.Read32(0x5400));
        Assert.Equal(0x8000_0700U, bar.Read32(0x5404));
        Assert.Equal(0x02A8, Nic.ReadPhy(bar, 2));
        Assert.Equal(0x0391, Nic.ReadPhy(bar, 3));
        Assert.Equal(0x0024, Nic.ReadPhy(bar, 1) & 0x0024);
        Assert.Equal(0x83U, bar.Read32(8) & 0xFF);
    }

    [Fact]
    public async Task Semaphore_is_taken_by_a_read_and_returned_by_a_zero()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair();
        VfioRegion bar = pair.Connection.Bar(0);

        Assert.Equal(0U, bar.Read32(0x5B50));
        Assert.Equal(1U, bar.Read32(0x5B50));
        bar.Write32(0x5B50, 0);
        Assert.Equal(0U, bar.Read32(0x5B50));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task Packet_that_is_sent_in_loopback_is_received(bool byPhy, bool overSocket)
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(overSocket: overSocket);
        using var nic = new Nic(pair.Connection);
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix);
        if (byPhy)
        {
            Nic.WritePhy(nic.Bar, 0, 0x4140);
        }

        nic.Bar.Write32(0x1514, 0x4000_0010);
        nic.Bar.Write32(0x152C, 1);
        nic.Bar.Write32(0x1530, 1);
        nic.Bar.Write32(0x1700, 0x80);
        nic.Bar.Write32(0x1524, 1);
        nic.Start(control: Nic.Promiscuous | (byPhy ? 0 : 0x40U));
        byte[] frame = Nic.Frame(1000);
        nic.Supply(4);

        nic.Send(frame);

        Assert.True(msix[0].Wait(Nic.Patience));
        Received received = nic.Receive();
        Assert.Equal(frame, received.Data);
        Assert.Equal(3U, received.Status & 3);
        Assert.Equal(1U, nic.Bar.Read32(0x2810));

        // The message has cleared the cause and masked the vector.
        Assert.Equal(0U, nic.Bar.Read32(0x1580));
        Assert.Equal(0U, nic.Bar.Read32(0x1524));
        Assert.Equal(1U, nic.Bar.Read32(0x4074));
        Assert.Equal(0U, nic.Bar.Read32(0x4074));
        Assert.Equal(1004U, nic.Bar.Read32(0x4088));
    }

    [Fact]
    public async Task Two_devices_on_a_link_see_each_others_packets()
    {
        var link = new PacketLink();
        await using DevicePair<IgbDevice> first = Nic.Pair(new IgbOptions { Backend = link.CreatePort, Address = Nic.AddressOf(1) });
        await using DevicePair<IgbDevice> second = Nic.Pair(new IgbOptions { Backend = link.CreatePort, Address = Nic.AddressOf(2) });
        using var sender = new Nic(first.Connection);
        using var receiver = new Nic(second.Connection);
        sender.Start(0);
        receiver.Start(0);
        receiver.Supply(8);

        sender.Send(Nic.Frame(100, destination: Nic.AddressOf(3)));
        sender.Send(Nic.Frame(200, destination: Nic.AddressOf(2)));

        Assert.Equal(200, receiver.Receive().Data.Length);
        Assert.Equal(2U, receiver.Bar.Read32(0x40D0));
        Assert.Equal(1U, receiver.Bar.Read32(0x4074));
        Assert.Equal(2U, sender.Bar.Read32(0x4080));
    }

    [Fact]
    public async Task Packet_takes_as_many_buffers_as_it_needs_and_waits_for_them()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(new IgbOptions { Backend = static () => new LoopbackPacketBackend() });
        using var nic = new Nic(pair.Connection);
        nic.Start(Nic.Promiscuous | 0x20);
        byte[] frame = Nic.Frame(5000);
        nic.Supply(2);

        nic.Send(frame);
        Nic.WaitFor(() => nic.Bar.Read32(0x40A0) == 1);
        Assert.Equal(0U, nic.Bar.Read32(0x2810));
        nic.Supply(2);

        Assert.Equal(frame, nic.Receive(descriptors: 3).Data);
        Assert.Equal(3U, nic.Bar.Read32(0xC010));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Segmentation_makes_packets_with_right_headers_and_sums(bool isVersion4)
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(new IgbOptions { Backend = static () => new LoopbackPacketBackend() });
        using var nic = new Nic(pair.Connection);
        nic.Start(Nic.Promiscuous);
        nic.Supply(8);
        byte[] packet = Nic.Tcp(isVersion4, payload: 3000, sequence: 0xFFFF_FF00, flags: 0x19);
        int network = isVersion4 ? 20 : 40;

        nic.SendSegmented(packet, network, transport: 20, size: 1400, isVersion4);

        byte[] payload = [];
        for (int i = 0; i < 3; i++)
        {
            Received segment = nic.Receive();
            int header = 14 + network + 20;
            Assert.Equal(i < 2 ? 1400 : 200, segment.Data.Length - header);
            payload = [.. payload, .. segment.Data[header..]];
            Assert.Equal(unchecked(0xFFFF_FF00 + (uint)(1400 * i)), BinaryPrimitives.ReadUInt32BigEndian(segment.Data.AsSpan(14 + network + 4)));
            Assert.Equal(i < 2 ? 0x10 : 0x19, segment.Data[14 + network + 13]);
            if (isVersion4)
            {
                Assert.Equal(0x1234 + i, BinaryPrimitives.ReadUInt16BigEndian(segment.Data.AsSpan(18)));
            }

            // The receiver has looked at both sums and found no mistake.
            Assert.Equal(isVersion4 ? 0x60U : 0x20U, segment.Status & 0x6000_0060);
        }

        Assert.Equal(packet[(14 + network + 20)..], payload);
        Assert.Equal(1U, nic.Bar.Read32(0x40F8));
    }

    [Fact]
    public async Task Wrong_sums_are_told()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(new IgbOptions { Backend = static () => new LoopbackPacketBackend() });
        using var nic = new Nic(pair.Connection);
        nic.Start(Nic.Promiscuous);
        nic.Supply(4);

        // Nobody completes them: both are zero.
        nic.Send(Nic.Tcp(isVersion4: true, payload: 10, sequence: 1, flags: 0x10));

        Assert.Equal(0x6000_0060U, nic.Receive().Status & 0x6000_0060);
    }

    [Fact]
    public async Task Tags_are_inserted_stripped_and_filtered()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(new IgbOptions { Backend = static () => new LoopbackPacketBackend() });
        using var nic = new Nic(pair.Connection);
        nic.Start(Nic.Promiscuous | (1U << 18));
        nic.Bar.Write32(0, nic.Bar.Read32(0) | (1U << 30));
        nic.Bar.Write32(0x5600 + (4 * (100 >> 5)), 1U << (100 & 31));
        nic.Supply(4);
        byte[] frame = Nic.Frame(300);

        nic.Send(frame, tag: 101);
        nic.Send(frame, tag: 0x6064);

        Received received = nic.Receive();
        Assert.Equal(0x6064, received.Tag);
        Assert.Equal(8U, received.Status & 8);
        Assert.Equal(frame, received.Data);

        nic.Bar.Write32(0, nic.Bar.Read32(0) & ~(1U << 30));
        nic.Send(frame, tag: 100);
        Assert.Equal(frame, nic.Receive().Data);
    }

    /// <summary>The verification suite that Microsoft published with the hash, and the 82576's datasheet repeats.</summary>
    [Theory]
    [InlineData(0x420995BB, 0xA18E6450, 2794, 1766, 0x51CCC178U, 0x323E8FC2U)]
    [InlineData(0xC75C6F02, 0x41458C53, 14230, 4739, 0xC626B0EAU, 0xD718262AU)]
    public void Hash_is_the_published_one(uint source, uint destination, int sourcePort, int destinationPort, uint withPorts, uint withoutPorts)
    {
        byte[] key =
        [
            0x6D, 0x5A, 0x56, 0xDA, 0x25, 0x5B, 0x0E, 0xC2, 0x41, 0x67, 0x25, 0x3D, 0x43, 0xA3, 0x8F, 0xB0, 0xD0, 0xCA, 0x2B, 0xCB,
            0xAE, 0x7B, 0x30, 0xB4, 0x77, 0xCB, 0x2D, 0xA3, 0x80, 0x30, 0xF2, 0x0C, 0x6A, 0x42, 0xB7, 0x3B, 0xBE, 0xAC, 0x01, 0xFA,
        ];
        uint[] words = new uint[10];
        for (int i = 0; i < 10; i++)
        {
            words[i] = BinaryPrimitives.ReadUInt32LittleEndian(key.AsSpan(4 * i));
        }

        byte[] frame = Nic.Tcp(isVersion4: true, payload: 20, sequence: 1, flags: 0x10);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(26), source);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(30), destination);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(34), (ushort)sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(36), (ushort)destinationPort);
        EthernetFrame layout = EthernetFrame.Parse(frame, 0x8100);

        Assert.Equal(1U, ReceiveHash.Compute(1U << 16, words, frame, layout, out uint hash));
        Assert.Equal(withPorts, hash);
        Assert.Equal(2U, ReceiveHash.Compute(1U << 17, words, frame, layout, out hash));
        Assert.Equal(withoutPorts, hash);
    }

    [Fact]
    public async Task Pulled_cable_is_told_by_the_other_vector()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair();
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix, 3);
        VfioRegion bar = pair.Connection.Bar(0);
        bar.Write32(0x1514, 0x4000_0011);
        bar.Write32(0x1740, 0x8200);
        bar.Write32(0x152C, 4);
        bar.Write32(0x1530, 4);
        bar.Write32(0x1524, 4);
        bar.Write32(0x1508, 4);

        pair.Device.SetLink(false);

        Assert.True(msix[2].Wait(Nic.Patience));
        Assert.Equal(0x8000_0004U, bar.Read32(0xC0));
        Assert.Equal(0U, bar.Read32(0xC0));
        Assert.Equal(0U, bar.Read32(8) & 2);
        Assert.Equal(0, Nic.ReadPhy(bar, 1) & 4);
        pair.Device.SetLink(true);
        Assert.False(msix[2].Wait(TimeSpan.FromMilliseconds(20)));
        bar.Write32(0x1524, 4);
        Assert.True(msix[2].Wait(Nic.Patience));
    }

    [Fact]
    public async Task Pin_follows_causes_that_are_not_masked()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair();
        using InterruptSet pin = pair.Connection.EnableInterrupts(PciInterrupt.Intx);
        VfioRegion bar = pair.Connection.Bar(0);
        bar.Write32(0xC8, 4);
        Assert.False(pin[0].Wait(TimeSpan.FromMilliseconds(20)));
        bar.Write32(0xE0, 4);
        bar.Write32(0xD0, 4);

        Assert.True(pin[0].Wait(Nic.Patience));
        Assert.Equal(0x8000_0004U, bar.Read32(0xC0));
        Assert.Equal(0U, bar.Read32(0xD0));
    }

    [Fact]
    public async Task Device_that_is_no_bus_master_waits()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(new IgbOptions { Backend = static () => new LoopbackPacketBackend() });
        using var nic = new Nic(pair.Connection);
        nic.Start(Nic.Promiscuous);
        nic.Supply(4);
        pair.Connection.Config.Write16(4, 2);
        nic.SendLater(Nic.Frame(100));
        await Task.Delay(20, TestContext.Current.CancellationToken);
        Assert.Equal(0U, nic.Bar.Read32(0x3810));

        pair.Connection.Config.Write16(4, 6);
        Assert.Equal(100, nic.Receive().Data.Length);
    }

    [Fact]
    public async Task Second_message_waits_for_the_interval()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(new IgbOptions { Throttle = true });
        using InterruptSet msix = pair.Connection.EnableInterrupts(PciInterrupt.Msix);
        VfioRegion bar = pair.Connection.Bar(0);
        bar.Write32(0x1514, 0x0000_0010);
        bar.Write32(0x152C, 1);
        bar.Write32(0x1680, 8000 << 2);
        bar.Write32(0x1524, 1);
        long start = Stopwatch.GetTimestamp();

        bar.Write32(0x1520, 1);
        Assert.True(msix[0].Wait(Nic.Patience));
        bar.Write32(0x1520, 1);
        Assert.True(msix[0].Wait(Nic.Patience));
        Assert.True(Stopwatch.GetElapsedTime(start) > TimeSpan.FromMilliseconds(7));
    }

    /// <summary>Whatever a guest writes, the device stays usable and other packets get through.</summary>
    [Fact]
    public async Task Bad_addresses_and_rings_drop_packets_and_nothing_else()
    {
        await using DevicePair<IgbDevice> pair = Nic.Pair(new IgbOptions { Backend = static () => new LoopbackPacketBackend() });
        using var nic = new Nic(pair.Connection);
        nic.Start(Nic.Promiscuous);
        nic.Supply(4);
        nic.SendFrom(0xDEAD_0000_0000, 200);
        nic.Bar.Write32(0x2818, 0xFFFF);
        nic.Bar.Write32(0x2810, 0xFFFF);
        nic.Bar.Write32(0x3810, 0x1234);
        nic.Bar.Write32(0x3808, 0);
        nic.Bar.Write32(0x3818, 7);
        nic.Bar.Write32(0x3800, 0xFFFF_FF80);
        nic.Bar.Write32(0x3804, 0xFFFF_FFFF);
        nic.Bar.Write32(0x3808, 0xF_FF80);
        nic.Bar.Write32(0x3818, 7);
        Nic.WaitFor(() => nic.Bar.Read32(0x3810) == 7);

        nic.Bar.Write32(0, 1U << 26);
        Assert.Equal(0U, nic.Bar.Read32(0x100));
        Assert.Equal(0U, nic.Bar.Read32(0x3808));
        nic.Restart(Nic.Promiscuous);
        nic.Supply(4);
        byte[] frame = Nic.Frame(600);
        nic.Send(frame);
        Assert.Equal(frame, nic.Receive().Data);
    }

    [Fact]
    public async Task Device_goes_on_elsewhere_in_the_middle_of_a_packet()
    {
        await using DevicePair<IgbDevice> from = Nic.Pair(new IgbOptions { Backend = static () => new LoopbackPacketBackend() });
        await using DevicePair<IgbDevice> to = Nic.Pair(new IgbOptions { Backend = static () => new LoopbackPacketBackend() });
        using var nic = new Nic(from.Connection);
        nic.Start(Nic.Promiscuous);
        byte[] frame = Nic.Frame(800);
        nic.SendPart(frame.AsSpan(0, 300), isLast: false);

        byte[] state = DeviceState.Save(from.Connection);
        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));

        using var other = new Nic(to.Connection, nic);
        other.Supply(2);
        other.SendPart(frame.AsSpan(300), isLast: true);
        Assert.Equal(frame, other.Receive().Data);
        state[^20] ^= 0xFF;
        Assert.Equal(Errno.EINVAL, DeviceState.TryRestore(from.Connection, state[..^1]));
    }

    [Fact]
    public async Task Capture_is_written_and_read()
    {
        string path = Path.Combine(Path.GetTempPath(), $"igb-{Guid.NewGuid():N}.pcap");
        byte[][] frames = [Nic.Frame(60), Nic.Frame(61), Nic.Frame(1500)];
        try
        {
            await using (DevicePair<IgbDevice> pair = Nic.Pair(IgbOptions.Parse([$"backend=pcap:out={path}"])))
            {
                using var nic = new Nic(pair.Connection);
                nic.Start(0);
                foreach (byte[] frame in frames)
                {
                    nic.Send(frame);
                }
            }

            await using (DevicePair<IgbDevice> pair = Nic.Pair(IgbOptions.Parse([$"backend=pcap:in={path}"])))
            {
                using var nic = new Nic(pair.Connection);
                nic.Start(Nic.Promiscuous);
                nic.Supply(8);
                foreach (byte[] frame in frames)
                {
                    Assert.Equal(frame, nic.Receive().Data);
                }
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("backend=pair:")]
    [InlineData("backend=pcap:through=x")]
    [InlineData("backend=wire")]
    [InlineData("mac=01:00:00:00:00:00")]
    [InlineData("mac=52:54:00:00:00")]
    [InlineData("buffer=1")]
    [InlineData("colour=blue")]
    public void Settings_that_make_no_sense_are_refused(string setting)
        => Assert.Throws<FormatException>(() => IgbOptions.Parse([setting]));
}
