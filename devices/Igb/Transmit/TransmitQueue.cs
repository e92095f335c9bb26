using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>A packet that a queue's descriptors put together, and the queue's two contexts. Belongs to the device's one work.</summary>
internal sealed class TransmitQueue
{
    /// <summary>A packet to be cut may have 256 KiB, which is what the descriptor's length field can say.</summary>
    public const int LongestPacket = 1 << 18;
    private byte[] _packet = [];

    public TransmitContext[] Contexts { get; } = new TransmitContext[2];

    public int Length { get; private set; }

    /// <summary>Whether the packet is dropped at its end: too long, or its memory cannot be read.</summary>
    public bool IsBad { get; set; }

    /// <summary>Whether the next descriptor is a packet's first.</summary>
    public bool IsFresh { get; private set; } = true;

    /// <summary>Command and options of the packet's first descriptor.</summary>
    public uint Command { get; set; }

    public uint Options { get; set; }

    public Span<byte> Packet => _packet.AsSpan(0, Length);

    /// <summary>Room for more bytes at the packet's end.</summary>
    /// <returns>The room; empty when the packet gets too long.</returns>
    public Span<byte> Extend(int length)
    {
        IsFresh = false;
        if (Length + length > LongestPacket)
        {
            IsBad = true;
            return default;
        }

        if (Length + length > _packet.Length)
        {
            // Once for each queue that is used.
            Array.Resize(ref _packet, LongestPacket);
        }

        Span<byte> room = _packet.AsSpan(Length, length);
        Length += length;
        return room;
    }

    /// <summary>Begins with another packet.</summary>
    public void Next()
    {
        Length = 0;
        IsBad = false;
        IsFresh = true;
    }

    public void Save(DeviceStateWriter writer)
    {
        foreach (TransmitContext context in Contexts)
        {
            writer.WriteUInt32(context.VlanAndLengths);
            writer.WriteUInt32(context.Type);
            writer.WriteUInt32(context.Sizes);
        }

        writer.WriteBoolean(IsFresh);
        writer.WriteBoolean(IsBad);
        writer.WriteUInt32(Command);
        writer.WriteUInt32(Options);
        writer.WriteUInt32((uint)Length);
        writer.WriteBytes(Packet);
    }

    public bool TryRestore(ref DeviceStateReader reader)
    {
        for (int i = 0; i < Contexts.Length; i++)
        {
            Contexts[i] = new TransmitContext(reader.ReadUInt32(), reader.ReadUInt32(), reader.ReadUInt32());
        }

        bool isFresh = reader.ReadBoolean();
        bool isBad = reader.ReadBoolean();
        Command = reader.ReadUInt32();
        Options = reader.ReadUInt32();
        ReadOnlySpan<byte> bytes = reader.ReadBytes(reader.ReadUInt32());
        if (reader.IsBroken || bytes.Length > LongestPacket)
        {
            return false;
        }

        Next();
        bytes.CopyTo(Extend(bytes.Length));
        (IsFresh, IsBad) = (isFresh, isBad);
        return true;
    }
}
