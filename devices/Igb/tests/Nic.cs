using System.Buffers.Binary;
using System.Diagnostics;
using Vfio.Testing;
using Xunit;

namespace Vfio.Devices.Igb.Tests;

/// <summary>A small driver: one queue each way, advanced descriptors, 2 KiB buffers.</summary>
internal sealed class Nic : IDisposable
{
    public const uint Promiscuous = 0x8018;
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private const int Entries = 16;
    private const int TransmitRing = 0;
    private const int ReceiveRing = 0x1000;
    private const int TransmitData = 0x2000;
    private const int ReceiveData = 0x8_0000;
    private readonly DmaBuffer _memory;
    private readonly ulong _iova;
    private readonly uint _queue;
    private int _sent;
    private int _supplied;
    private int _taken;

    /// <param name="connection">The device.</param>
    /// <param name="iova">Where the driver's memory is.</param>
    /// <param name="queue">The queue that it uses, 0 to 3.</param>
    public Nic(VfioConnection connection, ulong iova = 0x100_0000, uint queue = 0)
    {
        _iova = iova;
        _queue = queue * 0x100;
        _memory = connection.AllocateDma(0x10_0000, iova: iova);
        Bar = connection.Bar(0);
        connection.Config.Write16(4, 6);
    }

    /// <summary>Takes over where another has stopped, in memory of its own.</summary>
    public Nic(VfioConnection connection, Nic before)
        : this(connection, before._iova)
    {
        (_sent, _supplied, _taken) = (before._sent, before._supplied, before._taken);
        before.Memory(0, 0x2000).CopyTo(Memory(0, 0x2000));
    }

    public VfioRegion Bar { get; }

    public static DevicePair<IgbDevice> Pair(IgbOptions? options = null, bool overSocket = false)
        => overSocket ? DevicePair.OverSocket(() => new IgbDevice(options)) : DevicePair.Local(() => new IgbDevice(options));

    public static byte[] AddressOf(byte number) => [0x52, 0x54, 0, 0, 0, number];

    public static void WaitFor(Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience);
            Thread.Yield();
        }
    }

    public static int ReadPhy(VfioRegion bar, uint register)
    {
        bar.Write32(0x20, (1U << 27) | (1U << 21) | (register << 16));
        uint value = bar.Read32(0x20);
        Assert.Equal(1U << 28, value & (5U << 28));
        return (ushort)value;
    }

    public static void WritePhy(VfioRegion bar, uint register, ushort value) => bar.Write32(0x20, (1U << 26) | (1U << 21) | (register << 16) | value);

    public static byte[] Frame(int length, byte[]? destination = null)
    {
        byte[] frame = new byte[length];
        Random.Shared.NextBytes(frame);
        (destination ?? AddressOf(9)).CopyTo(frame, 0);
        AddressOf(8).CopyTo(frame, 6);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), 0x88B5);
        return frame;
    }

    /// <summary>A TCP packet without checksums.</summary>
    public static byte[] Tcp(bool isVersion4, int payload, uint sequence, byte flags)
    {
        int network = isVersion4 ? 20 : 40;
        byte[] frame = Frame(14 + network + 20 + payload);
        Span<byte> ip = frame.AsSpan(14);
        ip[..(network + 20)].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), (ushort)(isVersion4 ? 0x0800 : 0x86DD));
        if (isVersion4)
        {
            ip[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)ip.Length);
            BinaryPrimitives.WriteUInt16BigEndian(ip[4..], 0x1234);
            (ip[8], ip[9], ip[12], ip[15], ip[16], ip[19]) = (64, 6, 10, 1, 10, 2);
        }
        else
        {
            ip[0] = 0x60;
            BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(ip.Length - 40));
            (ip[6], ip[7], ip[8], ip[23], ip[24], ip[39]) = (6, 64, 0xFD, 1, 0xFD, 2);
        }

        Span<byte> tcp = ip[network..];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, 1000);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], 2000);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], sequence);
        (tcp[12], tcp[13]) = (0x50, flags);
        return frame;
    }

    public void Start(uint control)
    {
        Bar.Write32(0x3800 + _queue, (uint)_iova + TransmitRing);
        Bar.Write32(0x3804 + _queue, (uint)(_iova >> 32));
        Bar.Write32(0x3808 + _queue, Entries * 16);
        Bar.Write32(0x3828 + _queue, 1U << 25);
        Bar.Write32(0x2800 + _queue, (uint)_iova + ReceiveRing);
        Bar.Write32(0x2804 + _queue, (uint)(_iova >> 32));
        Bar.Write32(0x2808 + _queue, Entries * 16);
        Bar.Write32(0x280C + _queue, 0x0200_0002);
        Bar.Write32(0x2828 + _queue, 1U << 25);
        Bar.Write32(0x100, control | 2 | (1U << 26));
        Bar.Write32(0x400, 2 | 8);
    }

    /// <summary>Starts again after a reset.</summary>
    public void Restart(uint control)
    {
        (_sent, _supplied, _taken) = (0, 0, 0);
        Memory(0, 0x2000).Clear();
        Start(control);
    }

    /// <summary>Gives receive buffers.</summary>
    public void Supply(int count)
    {
        for (int i = 0; i < count; i++, _supplied++)
        {
            int slot = _supplied % Entries;
            BinaryPrimitives.WriteUInt64LittleEndian(Memory(ReceiveRing + (16 * slot), 8), _iova + (ulong)(ReceiveData + (2048 * slot)));
            BinaryPrimitives.WriteUInt64LittleEndian(Memory(ReceiveRing + (16 * slot) + 8, 8), 0);
        }

        Bar.Write32(0x2818 + _queue, (uint)(_supplied % Entries));
    }

    /// <summary>Sends a packet as it is, perhaps with a tag, and waits until that is reported.</summary>
    public void Send(ReadOnlySpan<byte> frame, int? tag = null)
    {
        if (tag is { } inserted)
        {
            Describe((ulong)(uint)inserted << 16, 0x2020_0000, 0);
        }

        frame.CopyTo(Memory(TransmitData, frame.Length));
        uint command = 0x2B30_0000U | (tag is null ? 0 : 1U << 30);
        int slot = Describe(_iova + TransmitData, command | (uint)frame.Length, (uint)frame.Length << 14);
        Ring(slot);
    }

    /// <summary>Sends a packet without waiting.</summary>
    public void SendLater(ReadOnlySpan<byte> frame)
    {
        frame.CopyTo(Memory(TransmitData, frame.Length));
        _ = Describe(_iova + TransmitData, 0x2B30_0000U | (uint)frame.Length, (uint)frame.Length << 14);
        Bar.Write32(0x3818 + _queue, (uint)(_sent % Entries));
    }

    /// <summary>Sends a part of a packet.</summary>
    public void SendPart(ReadOnlySpan<byte> part, bool isLast)
    {
        part.CopyTo(Memory(TransmitData, part.Length));
        Ring(Describe(_iova + TransmitData, 0x2A30_0000U | (isLast ? 1U << 24 : 0) | (uint)part.Length, 0));
    }

    /// <summary>Sends from any address.</summary>
    public void SendFrom(ulong address, int length) => Ring(Describe(address, 0x2B30_0000U | (uint)length, (uint)length << 14));

    /// <summary>Sends a TCP packet that the device cuts.</summary>
    public void SendSegmented(ReadOnlySpan<byte> packet, int network, int transport, int size, bool isVersion4)
    {
        packet.CopyTo(Memory(TransmitData, packet.Length));
        Describe((ulong)(uint)(network | (14 << 9)), 0x2020_0800U | (isVersion4 ? 0x400U : 0), (uint)((transport << 8) | (size << 16)));

        // In two pieces, so that a packet of several descriptors is seen as well.
        uint payload = (uint)(packet.Length - 14 - network - transport) << 14;
        Describe(_iova + TransmitData, 0xA030_0000U | 100, 0x300 | payload);
        Ring(Describe(_iova + TransmitData + 100, 0xAB30_0000U | (uint)(packet.Length - 100), 0));
    }

    /// <summary>Waits for a packet.</summary>
    public Received Receive(int descriptors = 1)
    {
        byte[] data = [];
        uint status = 0;
        int tag = 0;
        for (int i = 0; i < descriptors; i++, _taken++)
        {
            int at = ReceiveRing + (16 * (_taken % Entries));
            WaitFor(() => (BinaryPrimitives.ReadUInt32LittleEndian(Memory(at + 8, 4)) & 1) != 0);
            status = BinaryPrimitives.ReadUInt32LittleEndian(Memory(at + 8, 4));
            Assert.Equal(i == descriptors - 1, (status & 2) != 0);
            int length = BinaryPrimitives.ReadUInt16LittleEndian(Memory(at + 12, 2));
            tag = BinaryPrimitives.ReadUInt16LittleEndian(Memory(at + 14, 2));
            data = [.. data, .. Memory(ReceiveData + (2048 * (_taken % Entries)), length)];
        }

        return new Received(data, status, tag);
    }

    public void Dispose() => _memory.Dispose();

    private Span<byte> Memory(int offset, int length) => _memory.Slice((nuint)offset, length);

    private int Describe(ulong address, uint command, uint options)
    {
        int slot = _sent++ % Entries;
        Span<byte> descriptor = Memory(TransmitRing + (16 * slot), 16);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor, address);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], command);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[12..], options);
        return slot;
    }

    private void Ring(int slot)
    {
        Bar.Write32(0x3818 + _queue, (uint)(_sent % Entries));
        WaitFor(() => BinaryPrimitives.ReadUInt32LittleEndian(Memory(TransmitRing + (16 * slot) + 12, 4)) == 1);
    }
}
