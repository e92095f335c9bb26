using System.Buffers.Binary;
using System.Numerics;

namespace Vfio.Devices.Igb;

/// <summary>Which queues a packet goes to (82576 datasheet §7.1.1, §7.10.3). Caller holds the state lock.</summary>
/// <param name="device">The device.</param>
internal sealed class ReceiveFilter(IgbDevice device)
{
    private const uint UnicastPromiscuous = 1U << 3;
    private const uint MulticastPromiscuous = 1U << 4;
    private const uint LongPackets = 1U << 5;
    private const uint BroadcastAccept = 1U << 15;
    private const uint VlanFilter = 1U << 18;
    private const int Addresses = 24;
    private const int Pools = 8;

    private FilterRegisters Filters => device.Filters;

    /// <summary>Whether queues are given to pools (VMDq).</summary>
    public bool HasPools => (Filters.MultipleQueues & 7) is 3 or 5;

    /// <summary>The queues that a packet goes to.</summary>
    /// <param name="frame">The packet.</param>
    /// <param name="layout">Its layout.</param>
    /// <param name="hash">Its hash.</param>
    /// <param name="hashType">The hash's type; 0 for none.</param>
    /// <param name="source">The pool that sent it, or -1 when it comes from the link.</param>
    /// <returns>A bit for each queue; none when no filter takes it.</returns>
    public uint Queues(ReadOnlySpan<byte> frame, in EthernetFrame layout, uint hash, uint hashType, int source)
    {
        if (layout.IsTagged && (device.General.ReceiveControl & VlanFilter) != 0 && !IsVlanAccepted(layout.Tag & 0xFFF))
        {
            return 0;
        }

        int scaled = hashType == 0 ? 0 : (int)(Filters.Redirection[(int)(hash >> 2) & 31] >> (8 * (int)(hash & 3))) & 0xF;
        if (!HasPools)
        {
            if (!IsLengthAccepted(frame.Length, layout.IsTagged) || !IsAddressAccepted(frame))
            {
                return 0;
            }

            return TypeQueue(layout.Type) is >= 0 and var typed ? 1U << typed : 1U << ((Filters.MultipleQueues & 7) == 2 ? scaled : DefaultQueue);
        }

        uint queues = 0;
        for (uint pools = PoolsOf(frame, layout, source); pools != 0; pools &= pools - 1)
        {
            // Each pool has two queues.
            int pool = BitOperations.TrailingZeroCount(pools);
            bool second = (Filters.MultipleQueues & 7) == 5 && (Filters.Pools[pool] & (1U << 17)) != 0 && (scaled & 1) != 0;
            queues |= 1U << (pool + (second ? Pools : 0));
        }

        return queues;
    }

    /// <summary>Whether a packet that a pool sends is meant for others on this side only, or for the link as well.</summary>
    public bool StaysInside(ReadOnlySpan<byte> frame, in EthernetFrame layout, int source)
        => (frame[0] & 1) == 0 && MatchAddress(frame, out uint pools) && (pools & ~(1U << source)) != 0 && PoolsOf(frame, layout, source) != 0;

    private int DefaultQueue => (int)(Filters.MultipleQueues >> 3) & 7;

    private int TypeQueue(int type)
    {
        for (int i = 0; i < 8; i++)
        {
            uint filter = Filters.Types[i];
            if ((filter & 0x8400_0000) == 0x8400_0000 && (filter & 0xFFFF) == (uint)type)
            {
                return (int)(filter >> 16) & 7;
            }
        }

        return -1;
    }

    private bool IsVlanAccepted(int vlan) => (Filters.Vlans[vlan >> 5] & (1U << (vlan & 31))) != 0;

    private bool IsLengthAccepted(int length, bool isTagged)
    {
        int limit = (device.General.ReceiveControl & LongPackets) != 0 ? (int)(Filters.LongestPacket & 0x3FFF) : 1518;
        if (length + 4 <= limit + (isTagged ? 4 : 0))
        {
            return true;
        }

        device.Statistics.Oversized++;
        return false;
    }

    private bool IsAddressAccepted(ReadOnlySpan<byte> frame)
    {
        uint control = device.General.ReceiveControl;
        if ((frame[0] & 1) == 0)
        {
            return (control & UnicastPromiscuous) != 0 || MatchAddress(frame, out _);
        }

        return (control & MulticastPromiscuous) != 0
            || (EthernetFrame.IsBroadcast(frame) ? (control & BroadcastAccept) != 0 : IsHashed(Filters.Multicast, frame) || MatchAddress(frame, out _));
    }

    private bool MatchAddress(ReadOnlySpan<byte> frame, out uint pools)
    {
        pools = 0;
        bool matches = false;
        ulong wanted = BinaryPrimitives.ReadUInt64LittleEndian(frame) & 0xFFFF_FFFF_FFFF;
        for (int i = 0; i < Addresses; i++)
        {
            ulong entry = Filters.Address(i);
            if (entry >> 63 != 0 && (entry & 0xFFFF_FFFF_FFFF) == wanted)
            {
                matches = true;
                pools |= (uint)(entry >> 50) & 0xFF;
            }
        }

        return matches;
    }

    /// <summary>Whether the address is in a hash table: twelve of its upper bits choose a bit of the 4096.</summary>
    private bool IsHashed(ReadOnlySpan<uint> table, ReadOnlySpan<byte> frame)
    {
        int shift = ((int)(device.General.ReceiveControl >> 12) & 3) switch { 0 => 4, 1 => 3, 2 => 2, _ => 0 };
        int bit = ((frame[4] | (frame[5] << 8)) >> shift) & 0xFFF;
        return (table[bit >> 5] & (1U << (bit & 31))) != 0;
    }

    private uint PoolsOf(ReadOnlySpan<byte> frame, in EthernetFrame layout, int source)
    {
        uint pools = AddressedPools(frame);
        uint allowed = 0;
        int length = frame.Length + 4;
        for (int pool = 0; pool < Pools; pool++)
        {
            uint settings = Filters.Pools[pool];
            bool isShort = length <= ((settings & (1U << 16)) != 0 ? (int)(settings & 0x3FFF) : 1518) + (layout.IsTagged ? 4 : 0);
            if (isShort && (layout.IsTagged || (settings & (1U << 24)) != 0))
            {
                allowed |= 1U << pool;
            }
        }

        if (layout.IsTagged)
        {
            allowed &= PoolsOfVlan(layout.Tag & 0xFFFU);
        }

        pools &= allowed;
        if (source >= 0)
        {
            // Its own packet comes back to a pool only with local loopback.
            if ((device.Switch.Switching & (1U << (16 + source))) == 0)
            {
                pools &= ~(1U << source);
            }
        }
        else if (pools == 0 && (Filters.PoolControl & (1U << 29)) == 0)
        {
            pools = 1U << ((int)(Filters.PoolControl >> 7) & 7);
        }

        pools &= device.General.PoolReceive;
        return (Filters.PoolControl & (1U << 30)) == 0 ? pools & (0 - pools) : pools;
    }

    private uint AddressedPools(ReadOnlySpan<byte> frame)
    {
        bool isUnicast = (frame[0] & 1) == 0;
        bool isBroadcast = !isUnicast && EthernetFrame.IsBroadcast(frame);
        uint pools = 0;
        if (!isBroadcast && MatchAddress(frame, out uint matched))
        {
            pools = matched;
        }

        bool isHashed = !isBroadcast && IsHashed(isUnicast ? device.Miscellaneous.Unicast : Filters.Multicast, frame);
        bool isPromiscuous = isUnicast && (device.General.ReceiveControl & UnicastPromiscuous) != 0;
        for (int pool = 0; pool < Pools; pool++)
        {
            uint settings = Filters.Pools[pool];
            bool accepts = isBroadcast ? (settings & (1U << 27)) != 0
                : isUnicast ? (isHashed || isPromiscuous) && (settings & (1U << 26)) != 0
                : (settings & (1U << 28)) != 0 || (isHashed && (settings & (1U << 25)) != 0);
            pools |= accepts ? 1U << pool : 0;
        }

        return pools;
    }

    private uint PoolsOfVlan(uint vlan)
    {
        foreach (uint entry in Filters.PoolVlans)
        {
            if (entry >> 31 != 0 && (entry & 0xFFF) == vlan)
            {
                return (entry >> 12) & 0xFF;
            }
        }

        // Without a filter of its own, a VLAN is for the pools that take every VLAN that VFTA lets through: those that accept untagged packets.
        return (device.General.ReceiveControl & VlanFilter) == 0 ? 0xFFU : 1U << ((int)(Filters.PoolControl >> 7) & 7);
    }
}
