using System.Buffers.Binary;
using System.Numerics;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>Takes packets out of the buffer and writes them into the memory of receive queues. Runs in the device's one work.</summary>
/// <param name="device">The device.</param>
internal sealed class Receiver(IgbDevice device)
{
    /// <summary>Packets of a round, after which interrupts are raised.</summary>
    private const int Round = 64;
    private const int LongestPacket = EthernetFrame.Longest + 4;
    private const int DescriptorLength = 16;

    /// <summary>A packet of the smallest buffers takes this many.</summary>
    private const int MostDescriptors = (LongestPacket / 256) + 2;
    private readonly byte[] _descriptors = new byte[MostDescriptors * DescriptorLength];
    private readonly byte[] _packet = new byte[LongestPacket + 4];
    private readonly ReceiveFilter _filter = new(device);
    private uint _waiting;

    public ReceiveFilter Filter => _filter;

    /// <summary>Forgets what waits. Caller holds the state lock.</summary>
    public void Reset() => _waiting = 0;

    /// <summary>Receives a round of packets.</summary>
    /// <returns>Whether there is more to do now.</returns>
    public bool Run(WorkTurn turn)
    {
        uint told = 0;
        for (int i = 0; i < Round; i++)
        {
            if (!device.Buffer.TryPeek(out ReadOnlySpan<byte> frame, out int origin))
            {
                break;
            }

            Outcome outcome = Receive(turn, frame, origin - 1, ref told);
            if (outcome == Outcome.Cancelled)
            {
                return false;
            }

            if (outcome == Outcome.NoDescriptors)
            {
                _ = Tell(turn, told);
                return false;
            }
        }

        return Tell(turn, told) && !device.Buffer.IsEmpty;
    }

    private bool Tell(WorkTurn turn, uint told)
    {
        if (told == 0)
        {
            return !turn.IsCancelled;
        }

        lock (device.StateLock)
        {
            if (turn.IsCancelled)
            {
                return false;
            }

            device.Alarms.RaiseQueues(received: told, transmitted: 0);
            return true;
        }
    }

    /// <summary>Receives the first packet of the buffer, by as many queues as it is for.</summary>
    private Outcome Receive(WorkTurn turn, ReadOnlySpan<byte> frame, int source, ref uint told)
    {
        EthernetFrame layout;
        uint queues;
        uint hash = 0;
        uint hashType = 0;
        bool isNew;
        lock (device.StateLock)
        {
            if (turn.IsCancelled)
            {
                return Outcome.Cancelled;
            }

            layout = EthernetFrame.Parse(frame, (ushort)device.General.VlanType);
            if ((device.Filters.MultipleQueues & 7) is 2 or 5)
            {
                hashType = ReceiveHash.Compute(device.Filters.MultipleQueues, device.Filters.HashKey, frame, layout, out hash);
            }

            isNew = _waiting == 0;
            queues = isNew ? device.General.IsReceiving ? _filter.Queues(frame, layout, hash, hashType, source) : 0 : _waiting;
            if (isNew && source < 0)
            {
                device.Statistics.CountArrived(frame.Length);
            }

            if (queues == 0)
            {
                device.Buffer.Remove();
                return Outcome.Done;
            }

            if (isNew && source < 0)
            {
                device.Statistics.CountReceived(frame);
            }
        }

        uint left = queues;
        for (uint rest = queues; rest != 0; rest &= rest - 1)
        {
            int queue = BitOperations.TrailingZeroCount(rest);
            Outcome outcome = Deliver(turn, queue, frame, layout, hash, hashType, isInside: source >= 0, isNew);
            if (outcome == Outcome.Cancelled)
            {
                return Outcome.Cancelled;
            }

            if (outcome == Outcome.NoDescriptors)
            {
                // The packet stays at the head of the buffer until this queue has descriptors, as in the hardware.
                continue;
            }

            left &= ~(1U << queue);
            told |= outcome == Outcome.Done ? 1U << queue : 0;
        }

        lock (device.StateLock)
        {
            if (turn.IsCancelled)
            {
                return Outcome.Cancelled;
            }

            _waiting = left;
            if (left == 0)
            {
                device.Buffer.Remove();
            }
        }

        return left == 0 ? Outcome.Done : Outcome.NoDescriptors;
    }

    private Outcome Deliver(WorkTurn turn, int queue, ReadOnlySpan<byte> frame, in EthernetFrame layout, uint hash, uint hashType, bool isInside, bool isNew)
    {
        ulong ring;
        uint head;
        uint count;
        int bufferSize;
        int headerSize;
        var fields = default(ReceiveFields);
        ReadOnlySpan<byte> packet = frame;
        lock (device.StateLock)
        {
            if (turn.IsCancelled)
            {
                return Outcome.Cancelled;
            }

            ReceiveQueueRegisters registers = device.ReceiveQueues;
            count = registers.Length[queue] / DescriptorLength;
            head = registers.Head[queue];
            uint split = registers.Split[queue];
            if (!registers.IsEnabled(queue) || count == 0 || !device.IsBusMaster(queue))
            {
                return Outcome.Dropped;
            }

            if (head >= count)
            {
                head = 0;
            }

            packet = Prepare(queue, frame, layout, ref fields);
            int descriptorType = (int)(split >> 25) & 7;
            bufferSize = (int)(split & 0x7F) * 1024;
            bufferSize = bufferSize != 0 && descriptorType != 0 ? bufferSize : 2048 >> ((int)(device.General.ReceiveControl >> 16) & 3);
            headerSize = descriptorType is 2 or 5 ? (int)((split >> 8) & 0x3F) * 64 : 0;
            fields.IsLegacy = descriptorType == 0;
            fields.HashType = hashType;
            fields.Hash = hash;
            fields.IsInside = isInside;
            fields.Classify(frame, layout);
            if (headerSize != 0)
            {
                fields.ChooseHeader(frame, layout, packet.Length, headerSize, always: descriptorType == 5);
            }

            uint available = (registers.Tail[queue] % count + count - head) % count;
            int needed = Math.Max(1, (packet.Length - fields.HeaderLength + bufferSize - 1) / bufferSize);
            if (needed > available)
            {
                return Starve(queue, split, isNew);
            }

            fields.Descriptors = needed;
            ring = registers.Base(queue);
        }

        Errno error = Write(device.DmaOf(queue), ring, head, count, packet, bufferSize, fields, out ulong address);
        lock (device.StateLock)
        {
            if (turn.IsCancelled)
            {
                return Outcome.Cancelled;
            }

            if (error != Errno.None)
            {
                device.LogReceive(queue, address, error);
                return Outcome.Dropped;
            }

            device.ReceiveQueues.Head[queue] = (head + (uint)fields.Descriptors) % count;
            device.Statistics.CountDelivered(packet.Length);
            device.CountPool(queue, frame, transmits: false);
            return Outcome.Done;
        }
    }

    private Outcome Starve(int queue, uint split, bool isNew)
    {
        bool drops = split >> 31 != 0 || (_filter.HasPools && (device.Buffers.PoolDrops & (1U << (queue & 7))) != 0);
        if (isNew || drops)
        {
            device.Statistics.NoBuffers++;
        }

        if (drops)
        {
            device.ReceiveQueues.Dropped[queue]++;
            return Outcome.Dropped;
        }

        return Outcome.NoDescriptors;
    }

    /// <summary>Takes the tag out and puts the CRC in, as the queue wants it.</summary>
    private ReadOnlySpan<byte> Prepare(int queue, ReadOnlySpan<byte> frame, scoped in EthernetFrame layout, scoped ref ReceiveFields fields)
    {
        bool strips;
        bool keepsCrc;
        if (_filter.HasPools)
        {
            uint settings = device.Filters.Pools[queue & 7];
            strips = (settings & (1U << 30)) != 0;
            keepsCrc = (settings >> 31) == 0 && !device.General.StripsCrc;
        }
        else
        {
            strips = device.General.UsesVlan;
            keepsCrc = !device.General.StripsCrc;
        }

        fields.ChecksumControl = device.Filters.Checksums;
        if (strips && layout.IsTagged)
        {
            fields.Tag = layout.Tag;
            fields.IsStripped = true;
        }

        if (!fields.IsStripped && !keepsCrc)
        {
            return frame;
        }

        int length = 0;
        if (fields.IsStripped)
        {
            frame[..12].CopyTo(_packet);
            frame[16..].CopyTo(_packet.AsSpan(12));
            length = frame.Length - 4;
        }
        else
        {
            frame.CopyTo(_packet);
            length = frame.Length;
        }

        if (keepsCrc)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_packet.AsSpan(length), Crc32.Ethernet(_packet.AsSpan(0, length)));
            length += 4;
        }

        return _packet.AsSpan(0, length);
    }

    /// <summary>Writes a packet and then its descriptors.</summary>
    private Errno Write(DmaSpace dma, ulong ring, uint head, uint count, ReadOnlySpan<byte> packet, int bufferSize, in ReceiveFields fields, out ulong address)
    {
        Errno error = Ring(dma, ring, head, count, fields.Descriptors, write: false, out address);
        ReadOnlySpan<byte> rest = packet[fields.HeaderLength..];
        if (error == Errno.None && fields.HeaderLength != 0)
        {
            address = BinaryPrimitives.ReadUInt64LittleEndian(_descriptors.AsSpan(8));
            error = dma.Write(address, packet[..fields.HeaderLength]);
        }

        for (int i = 0; i < fields.Descriptors && error == Errno.None; i++)
        {
            Span<byte> descriptor = _descriptors.AsSpan(i * DescriptorLength, DescriptorLength);
            int length = Math.Min(rest.Length, bufferSize);
            address = BinaryPrimitives.ReadUInt64LittleEndian(descriptor);
            if (length != 0)
            {
                error = dma.Write(address, rest[..length]);
            }

            rest = rest[length..];
            fields.Write(descriptor, length, isFirst: i == 0, isLast: i == fields.Descriptors - 1);
        }

        return error == Errno.None ? Ring(dma, ring, head, count, fields.Descriptors, write: true, out address) : error;
    }

    /// <summary>Reads or writes the descriptors of a packet, which may go round the end of the ring.</summary>
    private Errno Ring(DmaSpace dma, ulong ring, uint head, uint count, int number, bool write, out ulong address)
    {
        int first = (int)Math.Min((uint)number, count - head);
        address = ring + (head * DescriptorLength);
        Span<byte> before = _descriptors.AsSpan(0, first * DescriptorLength);
        Errno error = write ? dma.Write(address, before) : dma.Read(address, before);
        if (error == Errno.None && first < number)
        {
            address = ring;
            Span<byte> after = _descriptors.AsSpan(first * DescriptorLength, (number - first) * DescriptorLength);
            error = write ? dma.Write(address, after) : dma.Read(address, after);
        }

        return error;
    }

    private enum Outcome
    {
        Done,
        Dropped,
        NoDescriptors,
        Cancelled,
    }
}
