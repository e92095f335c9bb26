using System.Runtime.InteropServices;

namespace Vfio.Devices.Nvme;

/// <summary>A submission queue entry as it lies in memory, little-endian (NVMe Base 2.0 §3.3.3.1).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4, Size = Length)]
internal struct NvmeCommand
{
    /// <summary>Bytes of an entry: CC.IOSQES is 6.</summary>
    public const int Length = 64;

    public byte Opcode;

    /// <summary>Bits 1:0 FUSE, bits 7:6 PSDT, the rest reserved.</summary>
    public byte Flags;
    public ushort CommandId;
    public uint NamespaceId;
    public uint Dword2;
    public uint Dword3;
    public ulong MetadataPointer;

    /// <summary>PRP1, or the first half of an SGL descriptor.</summary>
    public ulong Pointer1;

    /// <summary>PRP2, or the second half of an SGL descriptor.</summary>
    public ulong Pointer2;
    public uint Dword10;
    public uint Dword11;
    public uint Dword12;
    public uint Dword13;
    public uint Dword14;
    public uint Dword15;

    /// <summary>0 a normal command, 1 the first and 2 the second of a fused pair, 3 reserved.</summary>
    public readonly int Fuse => Flags & 3;

    /// <summary>How the data pointer is to be read: 0 PRP, 1 and 2 SGL, 3 reserved.</summary>
    public readonly int DataPointerKind => Flags >> 6;
}
