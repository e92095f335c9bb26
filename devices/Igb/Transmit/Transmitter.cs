using System.Buffers.Binary;
using System.Numerics;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>Follows the descriptors of transmit queues and sends packets (82576 datasheet §7.2). Runs in the device's one work.</summary>
/// <param name="device">The device.</param>
internal sealed class Transmitter(IgbDevice device)
{
    public const int Queues = 16;
    private const int DescriptorLength = 16;
    private const int Batch = 64;
    private const uint EndOfPacket = 1U << 24;
    private const uint InsertChecksum = 1U << 26;
    private const uint ReportStatus = 1U << 27;
    private const uint Extended = 1U << 29;
    private const uint InsertVlan = 1U << 30;
    private const uint Segment = 1U << 31;
    private const uint ContextType = 2U << 20;
    private readonly TransmitQueue[] _queues = new TransmitQueue[Queues];
    private readonly byte[] _descriptors = new byte[Batch * DescriptorLength];
    private readonly byte[] _frame = new byte[EthernetFrame.Longest + 8];
    private Settings _settings;
    private WorkTurn _turn;

    /// <summary>Makes the queues' states anew. Caller holds the state lock.</summary>
    public void Reset()
    {
        for (int i = 0; i < Queues; i++)
        {
            _queues[i] = new TransmitQueue();
        }
    }

    /// <summary>Makes one queue's state anew. Caller holds the state lock.</summary>
    public void Reset(int queue) => _queues[queue] = new TransmitQueue();

    public void Save(DeviceStateWriter writer)
    {
        foreach (TransmitQueue queue in _queues)
        {
            queue.Save(writer);
        }
    }

    public bool TryRestore(ref DeviceStateReader reader)
    {
        Reset();
        bool isRight = true;
        foreach (TransmitQueue queue in _queues)
        {
            isRight = isRight && queue.TryRestore(ref reader);
        }

        return isRight;
    }

    /// <summary>Sends a batch of each queue that has something to send.</summary>
    /// <returns>Whether there is more to do.</returns>
    public bool Run(WorkTurn turn)
    {
        bool more = false;
        uint ready;
        lock (device.StateLock)
        {
            if (turn.IsCancelled || !device.General.IsTransmitting)
            {
                return false;
            }

            ready = Ready();
        }

        for (uint rest = ready; rest != 0; rest &= rest - 1)
        {
            more |= Run(turn, BitOperations.TrailingZeroCount(rest));
        }

        return more;
    }

    private uint Ready()
    {
        uint ready = 0;
        TransmitQueueRegisters registers = device.TransmitQueues;
        bool hasPools = device.HasPools;
        for (int queue = 0; queue < Queues; queue++)
        {
            uint count = registers.Length[queue] / DescriptorLength;
            if (count != 0 && registers.IsEnabled(queue) && registers.Head[queue] % count != registers.Tail[queue] % count
                && device.IsBusMaster(queue)
                && (!hasPools || (device.General.PoolTransmit & (1U << (queue & 7))) != 0))
            {
                ready |= 1U << queue;
            }
        }

        return ready;
    }

    private bool Run(WorkTurn turn, int index)
    {
        TransmitQueue queue;
        ulong ring;
        ulong writeBack;
        uint count;
        uint head;
        uint number;
        uint pending;
        lock (device.StateLock)
        {
            TransmitQueueRegisters registers = device.TransmitQueues;
            count = registers.Length[index] / DescriptorLength;
            if (turn.IsCancelled || count == 0)
            {
                return false;
            }

            queue = _queues[index];
            ring = registers.Base(index);
            uint low = registers.WriteBackLow[index];
            writeBack = (low & 1) != 0 ? (low & ~3U) | ((ulong)registers.WriteBackHigh[index] << 32) : 0;
            head = registers.Head[index] % count;
            pending = ((registers.Tail[index] % count) + count - head) % count;
            number = Math.Min(Math.Min(pending, Batch), count - head);
            _settings = new Settings(device, index);
            _turn = turn;
        }

        ulong at = ring + (head * DescriptorLength);
        Span<byte> descriptors = _descriptors.AsSpan(0, (int)number * DescriptorLength);
        DmaSpace dma = device.DmaOf(index);
        Errno error = dma.Read(at, descriptors);
        ulong wrong = at;
        bool reports = false;
        for (int i = 0; i < number && error == Errno.None; i++)
        {
            Span<byte> descriptor = descriptors.Slice(i * DescriptorLength, DescriptorLength);
            bool ends = Follow(index, queue, dma, descriptor);
            if (turn.IsCancelled)
            {
                // The memory may be another driver's by now.
                return false;
            }

            if (ends && writeBack == 0)
            {
                // Only the descriptor's own bytes are written: those around it may be new already.
                reports = true;
                BinaryPrimitives.WriteUInt32LittleEndian(descriptor[12..], 1);
                wrong = at + (ulong)(i * DescriptorLength);
                error = dma.Write(wrong + 12, descriptor[12..]);
            }
            else
            {
                reports |= (BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]) & ReportStatus) != 0;
            }
        }

        uint next = (head + number) % count;
        if (writeBack != 0 && error == Errno.None)
        {
            Span<byte> value = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(value, next);
            wrong = writeBack;
            error = dma.Write(writeBack, value);
        }

        lock (device.StateLock)
        {
            if (turn.IsCancelled || queue != _queues[index])
            {
                return false;
            }

            if (error != Errno.None)
            {
                device.LogTransmit(index, wrong, error);
            }

            device.TransmitQueues.Head[index] = next;
            if (reports)
            {
                device.Alarms.RaiseQueues(received: 0, transmitted: 1U << index);
            }
        }

        return pending > number || error != Errno.None;
    }

    /// <summary>Does what one descriptor says.</summary>
    /// <returns>Whether its end is to be reported.</returns>
    private bool Follow(int index, TransmitQueue queue, DmaSpace dma, ReadOnlySpan<byte> descriptor)
    {
        ulong address = BinaryPrimitives.ReadUInt64LittleEndian(descriptor);
        uint command = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
        uint options = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[12..]);
        if ((command & (Extended | 0xF0_0000)) == (Extended | ContextType))
        {
            queue.Contexts[(options >> 4) & 1] = new TransmitContext((uint)address, command, options);
            return (command & ReportStatus) != 0;
        }

        if (queue.IsFresh)
        {
            queue.Command = command;
            queue.Options = options;
        }

        int length = (int)(command & 0xFFFF);
        Span<byte> room = queue.Extend(length);
        if (!queue.IsBad && !room.IsEmpty)
        {
            Errno error = dma.Read(address, room);
            if (error != Errno.None)
            {
                queue.IsBad = true;
                device.LogTransmit(index, address, error);
            }
        }

        if ((command & EndOfPacket) != 0)
        {
            if (!queue.IsBad)
            {
                Finish(index, queue, command, options);
            }

            queue.Next();
        }

        return (command & ReportStatus) != 0;
    }

    private void Finish(int index, TransmitQueue queue, uint command, uint options)
    {
        Span<byte> packet = queue.Packet;
        if (packet.Length < EthernetFrame.HeaderLength)
        {
            return;
        }

        if ((command & Extended) == 0)
        {
            if ((queue.Command & InsertChecksum) != 0)
            {
                Segmenter.CompleteLegacy(packet, (int)(queue.Options >> 8) & 0xFF, (int)(queue.Command >> 16) & 0xFF);
            }

            _ = Emit(index, packet, (command & InsertVlan) != 0, (ushort)(options >> 16));
            return;
        }

        TransmitContext context = queue.Contexts[(queue.Options >> 4) & 1];
        bool tags = (queue.Command & InsertVlan) != 0;
        if ((queue.Command & Segment) == 0)
        {
            Segmenter.Complete(packet, context, network: (queue.Options & 0x100) != 0, transport: (queue.Options & 0x200) != 0);
            _ = Emit(index, packet, tags, context.Tag);
            return;
        }

        int header = Segmenter.HeaderLength(packet, context);
        int size = context.SegmentSize;
        if (header == 0 || header + size > EthernetFrame.Longest)
        {
            device.CountSegmentation(_turn, failed: true);
            return;
        }

        int payload = packet.Length - header;
        int at = 0;
        for (int i = 0; i == 0 || at < payload; i++)
        {
            int length = Math.Min(size, payload - at);
            Span<byte> segment = _frame.AsSpan(4, header + length);
            Segmenter.Cut(packet, context, i, at, length, isLast: at + length == payload, segment);
            if (!Emit(index, segment, tags, context.Tag))
            {
                return;
            }

            at += length;
        }

        device.CountSegmentation(_turn, failed: false);
    }

    /// <summary>Sends one frame, with a tag if it is to have one, and padded.</summary>
    /// <returns>False once the device was reset: nothing more of the batch is sent.</returns>
    private bool Emit(int index, ReadOnlySpan<byte> frame, bool tags, ushort tag)
    {
        if (_settings.PoolTag is { } forced)
        {
            tags = forced != 0;
            tag = (ushort)forced;
        }
        else
        {
            tags &= _settings.UsesVlan;
        }

        if (frame.Length + (tags ? 4 : 0) > EthernetFrame.Longest)
        {
            return true;
        }

        if (tags)
        {
            // A segment lies four bytes behind the start: its addresses move forward.
            frame[..12].CopyTo(_frame);
            frame[12..].CopyTo(_frame.AsSpan(16));
            BinaryPrimitives.WriteUInt16BigEndian(_frame.AsSpan(12), _settings.VlanType);
            BinaryPrimitives.WriteUInt16BigEndian(_frame.AsSpan(14), tag);
            frame = _frame.AsSpan(0, frame.Length + 4);
        }

        if (_settings.Pads && frame.Length < EthernetFrame.Shortest)
        {
            int length = frame.Length;
            frame.CopyTo(_frame);
            _frame.AsSpan(length, EthernetFrame.Shortest - length).Clear();
            frame = _frame.AsSpan(0, EthernetFrame.Shortest);
        }

        return device.Send(_turn, index, frame);
    }

    /// <summary>What a batch needs of the registers.</summary>
    private readonly struct Settings
    {
        public Settings(IgbDevice device, int queue)
        {
            UsesVlan = device.General.UsesVlan;
            Pads = (device.General.TransmitControl & 8) != 0;
            VlanType = (ushort)device.General.VlanType;
            if (device.HasPools)
            {
                uint vlan = device.Switch.PoolVlan[queue & 7];
                PoolTag = (vlan >> 30) switch { 1 => (int)(vlan & 0xFFFF), 2 => 0, _ => null };
            }
        }

        public bool UsesVlan { get; }

        public bool Pads { get; }

        public ushort VlanType { get; }

        /// <summary>The tag that the pool's packets get whatever their descriptors say; 0 for none.</summary>
        public int? PoolTag { get; }
    }
}
