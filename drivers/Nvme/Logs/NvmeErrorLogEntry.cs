using System.Buffers.Binary;

namespace Vfio.Drivers.Nvme;

/// <summary>An entry of the Error Information log page (01h; Base 2.0 figure 206).</summary>
/// <param name="Count">Which error it was since the device was made, from 1.</param>
/// <param name="Queue">The submission queue of the command.</param>
/// <param name="Command">The command's identifier.</param>
/// <param name="Status">How it ended.</param>
/// <param name="Location">Byte (bits 7:0) and bit (bits 10:8) of the command that is to blame; FFFFh: none in particular.</param>
/// <param name="Block">The first block that had the error.</param>
/// <param name="NamespaceId">The namespace.</param>
public readonly record struct NvmeErrorLogEntry(ulong Count, ushort Queue, ushort Command, NvmeStatus Status, ushort Location, ulong Block, uint NamespaceId)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Length = 64;

    /// <summary>Decodes an entry.</summary>
    /// <param name="data">Its <see cref="Length"/> bytes.</param>
    /// <returns>The fields; <see cref="Count"/> is 0 for an entry that is not used.</returns>
    public static NvmeErrorLogEntry Parse(ReadOnlySpan<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(data.Length, Length, nameof(data));
        return new NvmeErrorLogEntry(
            BinaryPrimitives.ReadUInt64LittleEndian(data),
            BinaryPrimitives.ReadUInt16LittleEndian(data[8..]),
            BinaryPrimitives.ReadUInt16LittleEndian(data[10..]),
            new NvmeStatus((ushort)(BinaryPrimitives.ReadUInt16LittleEndian(data[12..]) >> 1)),
            BinaryPrimitives.ReadUInt16LittleEndian(data[14..]),
            BinaryPrimitives.ReadUInt64LittleEndian(data[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(data[24..]));
    }
}
