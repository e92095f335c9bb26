using System.Buffers.Binary;

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>A submission entry of which every bit is the test's to set.</summary>
internal sealed class RawCommand
{
    private readonly byte[] _bytes = new byte[64];

    public RawCommand(byte opcode, uint nsid = 0)
    {
        Opcode = opcode;
        Nsid = nsid;
    }

    public ReadOnlySpan<byte> Bytes => _bytes;

    public byte Opcode
    {
        get => _bytes[0];
        set => _bytes[0] = value;
    }

    /// <summary>FUSE in bits 1:0, PSDT in bits 7:6.</summary>
    public byte Flags
    {
        get => _bytes[1];
        set => _bytes[1] = value;
    }

    public ushort Cid
    {
        get => BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(2));
        set => BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(2), value);
    }

    public uint Nsid
    {
        get => this[1];
        set => this[1] = value;
    }

    public ulong Prp1
    {
        get => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(24));
        set => BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(24), value);
    }

    public ulong Prp2
    {
        get => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(32));
        set => BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(32), value);
    }

    /// <summary>A dword by its number.</summary>
    public uint this[int dword]
    {
        get => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(dword * 4));
        set => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(dword * 4), value);
    }

    public RawCommand Set(int dword, uint value)
    {
        this[dword] = value;
        return this;
    }

    /// <summary>Makes the data pointer an SGL with one descriptor.</summary>
    public RawCommand Sgl(ulong address, uint length, byte kind = 0)
    {
        Flags = (byte)((Flags & 0x3F) | 0x40);
        Prp1 = address;
        Prp2 = length | ((ulong)kind << 60);
        return this;
    }
}
