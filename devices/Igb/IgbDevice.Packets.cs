using System.Buffers.Binary;
using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <content>The way of packets: from queues to the link, from the link into the buffer, from the buffer to queues.</content>
public sealed partial class IgbDevice
{
    private const uint ReceiverOverrun = 1U << 6;
    private const uint LoopbackBetweenPools = 1U << 31;

    /// <summary>Sends a frame of a queue. Called by the work, with no lock held.</summary>
    /// <returns>False, and nothing was sent, when the device was reset since the run began.</returns>
    internal bool Send(WorkTurn turn, int queue, ReadOnlySpan<byte> frame)
    {
        bool loops;
        bool leaves = true;
        lock (StateLock)
        {
            if (turn.IsCancelled)
            {
                return false;
            }

            if (HasPools && !IsHonest(queue & 7, frame))
            {
                return true;
            }

            Statistics.CountSent(frame);
            CountPool(queue, frame, transmits: true);
            loops = General.IsLooping || Phy.IsLooping;
            if (!loops && HasPools && (Switch.Switching & LoopbackBetweenPools) != 0)
            {
                leaves = !_receiver.Filter.StaysInside(frame, EthernetFrame.Parse(frame, (ushort)General.VlanType), queue & 7);
                if ((!leaves || (frame[0] & 1) != 0) && !Buffer.TryAdd(frame, (queue & 7) + 1))
                {
                    Miss();
                }
            }

            if (loops && !Buffer.TryAdd(frame, origin: 0))
            {
                Miss();
            }
        }

        if (!loops && leaves && IsLinkUp)
        {
            _backend.Send(frame);
        }

        return true;
    }

    internal void CountSegmentation(WorkTurn turn, bool failed)
    {
        lock (StateLock)
        {
            if (turn.IsCancelled)
            {
                return;
            }

            if (failed)
            {
                Statistics.SegmentationFailures++;
            }
            else
            {
                Statistics.Segmentations++;
            }
        }
    }

    /// <summary>A frame comes from the link; on any thread.</summary>
    private void Arrive(ReadOnlySpan<byte> frame)
    {
        if (!General.IsReceiving || !IsLinkUp || General.IsLooping || Phy.IsLooping || frame.Length is < EthernetFrame.HeaderLength or > EthernetFrame.Longest)
        {
            return;
        }

        bool isTaken;
        if (frame.Length < EthernetFrame.Shortest)
        {
            // On a cable it would have been padded.
            Span<byte> padded = stackalloc byte[EthernetFrame.Shortest];
            padded.Clear();
            frame.CopyTo(padded);
            isTaken = Buffer.TryAdd(padded, origin: 0);
        }
        else
        {
            isTaken = Buffer.TryAdd(frame, origin: 0);
        }

        if (!isTaken)
        {
            lock (StateLock)
            {
                Miss();
            }
        }

        _work!.Schedule();
    }

    private void Miss()
    {
        Statistics.Missed++;
        Causes.Raise(ReceiverOverrun);
    }

    /// <summary>Whether a pool sends under an address of its own, when that is checked.</summary>
    private bool IsHonest(int pool, ReadOnlySpan<byte> frame)
    {
        if ((Switch.Switching & (1U << pool)) == 0)
        {
            return true;
        }

        ulong source = BinaryPrimitives.ReadUInt64LittleEndian(frame[4..]) >> 16;
        for (int i = 0; i < 24; i++)
        {
            ulong entry = Filters.Address(i);
            if (entry >> 63 != 0 && (entry & 0xFFFF_FFFF_FFFF) == source && ((entry >> 50) & (1UL << pool)) != 0)
            {
                return true;
            }
        }

        Switch.WrongBehaviour |= 1U << pool;
        return false;
    }

    /// <summary>Sends and receives until there is nothing to do.</summary>
    private void Run(WorkTurn turn)
    {
        if (_startsReceiving && General.IsReceiving)
        {
            _startsReceiving = false;
            _backend.StartReceiving();
        }

        bool more = true;
        while (more)
        {
            if (turn.IsPausing)
            {
                _work!.Schedule();
                return;
            }

            if (turn.IsCancelled)
            {
                return;
            }

            more = _transmitter.Run(turn);
            more |= _receiver.Run(turn);
        }
    }
}
