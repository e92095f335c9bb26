using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Dsa;

/// <summary>The operations on memory, piece by piece. One for each work queue, as it has the buffers.</summary>
/// <param name="device">The device whose DMA it is.</param>
/// <param name="queue">The work queue, which may abandon an operation between two pieces.</param>
internal sealed class MemoryOperations(VfioPciDevice device, WorkQueue queue)
{
    private const int Piece = 65_536;
    private const uint PageSize = 4096;
    private const int DeltaEntry = 10;
    private readonly byte[] _first = new byte[Piece];
    private readonly byte[] _second = new byte[Piece];

    /// <summary>Copies; where source and destination overlap, as if through a buffer.</summary>
    public void Move(in DsaDescriptor descriptor, ref CompletionRecord record)
    {
        bool isBackward = descriptor.Destination > descriptor.Source && descriptor.Destination - descriptor.Source < descriptor.Size;
        record.Result = isBackward ? (byte)1 : (byte)0;
        while (TryGetPiece(in descriptor, in record, out Span<byte> piece))
        {
            uint at = isBackward ? descriptor.Size - record.Completed - (uint)piece.Length : record.Completed;
            if (!TryRead(descriptor.Source + at, piece, isBackward, ref record) || !TryWrite(descriptor.Destination + at, piece, ref record))
            {
                return;
            }

            record.Completed += (uint)piece.Length;
        }
    }

    /// <summary>Copies to two places that lie alike in their pages.</summary>
    public void MoveTwice(in DsaDescriptor descriptor, ulong second, ref CompletionRecord record)
    {
        while (TryGetPiece(in descriptor, in record, out Span<byte> piece))
        {
            if (!TryRead(descriptor.Source + record.Completed, piece, false, ref record)
                || !TryWrite(descriptor.Destination + record.Completed, piece, ref record) || !TryWrite(second + record.Completed, piece, ref record))
            {
                return;
            }

            record.Completed += (uint)piece.Length;
        }
    }

    public void Fill(in DsaDescriptor descriptor, ref CompletionRecord record)
    {
        // The buffer is a multiple of eight bytes, so that each piece begins with the pattern's first byte.
        MemoryMarshal.Cast<byte, ulong>(_first.AsSpan()).Fill(descriptor.Source);
        while (TryGetPiece(in descriptor, in record, out Span<byte> piece))
        {
            if (!TryWrite(descriptor.Destination + record.Completed, piece, ref record))
            {
                return;
            }

            record.Completed += (uint)piece.Length;
        }
    }

    /// <summary>Finds the first byte in which two ranges differ, or one differs from a pattern.</summary>
    public void Compare(in DsaDescriptor descriptor, bool withPattern, ref CompletionRecord record)
    {
        if (withPattern)
        {
            MemoryMarshal.Cast<byte, ulong>(_second.AsSpan()).Fill(descriptor.Destination);
        }

        while (TryGetPiece(in descriptor, in record, out Span<byte> one))
        {
            Span<byte> other = _second.AsSpan(0, one.Length);
            if (!TryRead(descriptor.Source + record.Completed, one, false, ref record)
                || (!withPattern && !TryRead(descriptor.Destination + record.Completed, other, false, ref record)))
            {
                return;
            }

            int same = one.CommonPrefixLength(other);
            record.Completed += (uint)same;
            if (same < one.Length)
            {
                record.Result = 1;
                return;
            }
        }
    }

    /// <summary>Writes where the second source differs from the first, as offsets in words of eight bytes, each with the second source's word.</summary>
    public void CreateDelta(in DsaDescriptor descriptor, ulong delta, uint longest, ref CompletionRecord record)
    {
        Span<byte> entry = stackalloc byte[DeltaEntry];
        uint size = 0;
        for (uint done = 0; done < descriptor.Size;)
        {
            Span<byte> one = _first.AsSpan(0, (int)Math.Min(Piece, descriptor.Size - done));
            Span<byte> other = _second.AsSpan(0, one.Length);
            if (!TryRead(descriptor.Source + done, one, false, ref record) || !TryRead(descriptor.Destination + done, other, false, ref record))
            {
                return;
            }

            for (int at = 0; at < one.Length; at += sizeof(ulong))
            {
                record.Completed = done + (uint)at;
                if (one.Slice(at, sizeof(ulong)).SequenceEqual(other.Slice(at, sizeof(ulong))))
                {
                    continue;
                }

                if (size + DeltaEntry > longest)
                {
                    record.Result = 2;
                    record.Value = size;
                    return;
                }

                BinaryPrimitives.WriteUInt16LittleEndian(entry, (ushort)((done + (uint)at) / sizeof(ulong)));
                other.Slice(at, sizeof(ulong)).CopyTo(entry[sizeof(ushort)..]);
                if (!TryWrite(delta + size, entry, ref record))
                {
                    return;
                }

                size += DeltaEntry;
            }

            done += (uint)one.Length;
            record.Completed = done;
        }

        record.Result = size > 0 ? (byte)1 : (byte)0;
        record.Value = size;
    }

    /// <summary>Writes the words of a delta record to their places.</summary>
    public void ApplyDelta(in DsaDescriptor descriptor, uint length, ref CompletionRecord record)
    {
        Span<byte> entry = stackalloc byte[DeltaEntry];
        long last = -1;
        for (uint done = 0; done < length; done += DeltaEntry)
        {
            if (!TryRead(descriptor.Source + done, entry, false, ref record))
            {
                return;
            }

            uint offset = BinaryPrimitives.ReadUInt16LittleEndian(entry) * (uint)sizeof(ulong);
            if (offset <= last || offset + sizeof(ulong) > descriptor.Size)
            {
                record.Code = offset <= last ? CompletionStatus.DeltaOffsetOrder : CompletionStatus.DeltaOffsetRange;
                return;
            }

            last = offset;
            if (!TryWrite(descriptor.Destination + offset, entry[sizeof(ushort)..], ref record))
            {
                return;
            }

            record.Completed = done + DeltaEntry;
        }
    }

    /// <summary>Computes CRC-32C, and copies on the way when there is a destination.</summary>
    /// <param name="descriptor">What to read.</param>
    /// <param name="seed">The seed, as in the register: inverted already when that is asked for.</param>
    /// <param name="copies">Whether to copy.</param>
    /// <param name="record">Receives how far it came.</param>
    /// <returns>The CRC, not inverted.</returns>
    public uint Crc(in DsaDescriptor descriptor, uint seed, bool copies, ref CompletionRecord record)
    {
        uint crc = seed;
        while (TryGetPiece(in descriptor, in record, out Span<byte> piece))
        {
            if (!TryRead(descriptor.Source + record.Completed, piece, false, ref record) || (copies && !TryWrite(descriptor.Destination + record.Completed, piece, ref record)))
            {
                return crc;
            }

            ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(piece);
            foreach (ulong word in words)
            {
                crc = BitOperations.Crc32C(crc, word);
            }

            foreach (byte value in piece[(words.Length * sizeof(ulong))..])
            {
                crc = BitOperations.Crc32C(crc, value);
            }

            record.Completed += (uint)piece.Length;
        }

        return crc;
    }

    /// <summary>Looks whether a range is there.</summary>
    public void Touch(in DsaDescriptor descriptor, ref CompletionRecord record)
    {
        while (TryGetPiece(in descriptor, in record, out Span<byte> piece))
        {
            if (!TryRead(descriptor.Destination + record.Completed, piece, false, ref record))
            {
                return;
            }

            record.Completed += (uint)piece.Length;
        }
    }

    /// <summary>The room for what comes next of an operation, which has come as far as its record says.</summary>
    private bool TryGetPiece(in DsaDescriptor descriptor, in CompletionRecord record, out Span<byte> piece)
    {
        piece = _first.AsSpan(0, (int)Math.Min(Piece, descriptor.Size - record.Completed));
        return !piece.IsEmpty;
    }

    /// <returns>False when it cannot be read, with the fault in the record; or when the operation is abandoned.</returns>
    public bool TryRead(ulong address, Span<byte> piece, bool isBackward, ref CompletionRecord record)
    {
        if (queue.IsAbandoned)
        {
            return false;
        }

        if (device.Dma.Read(address, piece) == Errno.None)
        {
            return true;
        }

        // Which page it was: the first one in the order of the transfer.
        for (int done = 0; done < piece.Length;)
        {
            int at = isBackward ? piece.Length - done - 1 : done;
            ulong page = (address + (ulong)at) & ~(ulong)(PageSize - 1);
            if (device.Dma.Read(Math.Max(page, address), piece[..1]) != Errno.None)
            {
                record.Fault(page, writes: false);
                return false;
            }

            done = isBackward ? (int)Math.Min((ulong)piece.Length, address + (ulong)piece.Length - Math.Max(page, address)) : (int)Math.Min((ulong)piece.Length, page + PageSize - address);
        }

        record.Fault(address, writes: false);
        return false;
    }

    /// <returns>False when it cannot be written, with the fault in the record; or when the operation is abandoned.</returns>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> piece, ref CompletionRecord record)
    {
        if (queue.IsAbandoned)
        {
            return false;
        }

        if (device.Dma.Write(address, piece) == Errno.None)
        {
            return true;
        }

        // What lies before the page that is not there is written; that page is the fault.
        for (int done = 0; done < piece.Length;)
        {
            int count = (int)Math.Min((ulong)(piece.Length - done), PageSize - ((address + (ulong)done) & (PageSize - 1)));
            if (device.Dma.Write(address + (ulong)done, piece.Slice(done, count)) != Errno.None)
            {
                record.Completed += (uint)done;
                record.Fault((address + (ulong)done) & ~(ulong)(PageSize - 1), writes: true);
                return false;
            }

            done += count;
        }

        return true;
    }
}
