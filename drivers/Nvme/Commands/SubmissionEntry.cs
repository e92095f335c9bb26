using System.Runtime.InteropServices;

namespace Vfio.Drivers.Nvme;

/// <summary>A command of 64 bytes as it lies in a submission queue (Base 2.0 figure 87). Little endian, as the machines are that this runs on.</summary>
[StructLayout(LayoutKind.Sequential, Size = Length)]
internal struct SubmissionEntry
{
    /// <summary>Bytes of a command.</summary>
    public const int Length = 64;

    /// <summary>PSDT 01b in <see cref="Flags"/>: the data pointer is an SGL, metadata (none here) a contiguous buffer.</summary>
    public const byte FlagSgl = 1 << 6;

    public byte Opcode;
    public byte Flags;
    public ushort CommandId;
    public uint NamespaceId;
    public uint Dword2;
    public uint Dword3;
    public ulong MetadataPointer;
    public ulong DataPointer1;
    public ulong DataPointer2;
    public uint Dword10;
    public uint Dword11;
    public uint Dword12;
    public uint Dword13;
    public uint Dword14;
    public uint Dword15;
}
