using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Vfio.Devices.Nvme;

/// <summary>Makes and checks protection information with a guard of 16 bits (NVM Command Set 1.0 §5.2): guard, application tag and reference tag, big-endian.</summary>
internal static class ProtectionInformation
{
    private const int ApplicationOffset = 2;
    private const int ReferenceOffset = 4;

    /// <summary>Makes the information of neighbouring blocks.</summary>
    /// <param name="format">The namespace's format.</param>
    /// <param name="data">The blocks.</param>
    /// <param name="tuples">Receives theirs.</param>
    /// <param name="tags">What the command says.</param>
    /// <param name="index">How many blocks of the command are before the first one.</param>
    public static void Make(BlockFormat format, ReadOnlySpan<byte> data, Span<byte> tuples, in ProtectionTags tags, uint index)
    {
        for (; !data.IsEmpty; data = data[format.BlockLength..], tuples = tuples[BlockFormat.TupleLength..], index++)
        {
            BinaryPrimitives.WriteUInt16BigEndian(tuples, GuardCrc.Compute(data[..format.BlockLength]));
            BinaryPrimitives.WriteUInt16BigEndian(tuples[ApplicationOffset..], tags.Application);
            BinaryPrimitives.WriteUInt32BigEndian(tuples[ReferenceOffset..], format.CountsReferences ? tags.Reference + index : tags.Reference);
        }
    }

    /// <summary>Checks what PRCHK asks for, block by block.</summary>
    /// <param name="format">The namespace's format.</param>
    /// <param name="data">The blocks.</param>
    /// <param name="tuples">Their information.</param>
    /// <param name="tags">What the command says.</param>
    /// <param name="index">How many blocks of the command are before the first one; at an error, before the one that is wrong.</param>
    public static NvmeStatus Check(BlockFormat format, ReadOnlySpan<byte> data, ReadOnlySpan<byte> tuples, in ProtectionTags tags, ref uint index)
    {
        for (; !data.IsEmpty; data = data[format.BlockLength..], tuples = tuples[BlockFormat.TupleLength..], index++)
        {
            NvmeStatus status = CheckBlock(format, data[..format.BlockLength], tuples, tags, index);
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        return NvmeStatus.Success;
    }

    /// <summary>
    /// Turns information into how it is kept, and back: with all bits turned, so that storage which was never written, and reads as zeros, is
    /// information of ones, which disables the checks.
    /// </summary>
    public static void Turn(Span<byte> tuples)
    {
        foreach (ref ulong tuple in MemoryMarshal.Cast<byte, ulong>(tuples))
        {
            tuple = ~tuple;
        }
    }

    private static NvmeStatus CheckBlock(BlockFormat format, ReadOnlySpan<byte> block, ReadOnlySpan<byte> tuple, in ProtectionTags tags, uint index)
    {
        ushort application = BinaryPrimitives.ReadUInt16BigEndian(tuple[ApplicationOffset..]);
        uint reference = BinaryPrimitives.ReadUInt32BigEndian(tuple[ReferenceOffset..]);

        // Tags of ones say that nothing is to be checked.
        if (application == ushort.MaxValue && (format.Protection != 3 || reference == uint.MaxValue))
        {
            return NvmeStatus.Success;
        }

        if (tags.ChecksGuard && BinaryPrimitives.ReadUInt16BigEndian(tuple) != GuardCrc.Compute(block))
        {
            return NvmeStatus.GuardCheckError;
        }

        if (tags.ChecksApplication && ((application ^ tags.Application) & tags.Mask) != 0)
        {
            return NvmeStatus.ApplicationTagCheckError;
        }

        return tags.ChecksReference && reference != tags.Reference + index ? NvmeStatus.ReferenceTagCheckError : NvmeStatus.Success;
    }
}
