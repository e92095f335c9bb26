using System.Runtime.CompilerServices;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Moves blocks between the host and a namespace. Without metadata, and with a backend that does not wait, they go to and from the host's memory
/// itself; else by way of a buffer, some at a time. Blocks are moved whole, so that none is seen half written.
/// </summary>
internal static class BlockTransfer
{
    /// <summary>Moves the blocks of a command.</summary>
    /// <param name="request">The command.</param>
    /// <param name="range">Its blocks.</param>
    /// <param name="access">What is done with the host's memory: <see cref="DmaAccess.Write"/> reads blocks, <see cref="DmaAccess.Read"/> writes them.</param>
    /// <param name="moved">Bytes of data that were moved.</param>
    public static NvmeStatus Move(NvmeRequest request, in BlockRange range, DmaAccess access, out long moved)
    {
        moved = 0;
        NvmeStatus status = Begin(request, range, out bool hasMetadata);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        NvmeNamespace ns = range.Namespace;
        bool isDirect = range.Format.MetadataLength == 0 && !ns.Backend.MayWait;
        int blockMask = ~(range.Format.BlockLength - 1);
        long length = range.Length;
        ulong offset = range.Offset;
        while (moved != length)
        {
            if (isDirect)
            {
                status = request.Data.Next((int)(length - moved), out ulong iova, out int piece, out bool isBucket);
                if (status != NvmeStatus.Success)
                {
                    return status;
                }

                int whole = piece & blockMask;
                if (whole != 0 && !isBucket && request.Host.TryOpenWindow(iova, whole, access, out DmaWindow window) == Errno.None)
                {
                    status = MoveDirectly(ns, offset + (ulong)moved, window.Span, access);
                    window.Dispose();
                    request.Host.End();
                    if (status != NvmeStatus.Success)
                    {
                        return status;
                    }

                    if (whole != piece)
                    {
                        request.Data.Back(piece - whole);
                    }

                    moved += whole;
                    continue;
                }

                // A block in several pieces, or memory that can only be copied.
                request.Data.Back(piece);
            }

            if (request.Queue.IsClosed)
            {
                return NvmeStatus.AbortedQueueDeleted;
            }

            status = MoveSome(request, range, (uint)(moved >> range.Format.BlockShift), hasMetadata, access, out uint count);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            moved += (long)count << range.Format.BlockShift;
        }

        return NvmeStatus.Success;
    }

    /// <summary>Begins the pointers of a command.</summary>
    /// <param name="request">The command.</param>
    /// <param name="range">Its blocks.</param>
    /// <param name="hasMetadata">Whether the host has metadata: not when the controller makes protection information.</param>
    public static NvmeStatus Begin(NvmeRequest request, in BlockRange range, out bool hasMetadata)
    {
        BlockFormat format = range.Format;
        if (format.MetadataLength == 0)
        {
            hasMetadata = false;
            return request.Data.Begin(request.Command, range.Length, request.Controller.PageSize);
        }

        hasMetadata = !(format.Protection != 0 && new ProtectionTags(request.Command).IsMadeHere);
        int metadata = hasMetadata ? (int)range.Count * format.MetadataLength : 0;
        NvmeStatus status = request.Data.Begin(request.Command, range.Length + (format.IsExtended ? metadata : 0), request.Controller.PageSize);
        if (status != NvmeStatus.Success || !hasMetadata || format.IsExtended)
        {
            return status;
        }

        status = request.Metadata.BeginMetadata(request.Command, metadata);
        return status == NvmeStatus.InvalidField ? request.Refuse(status, location: 16) : status;
    }

    /// <summary>Copies blocks from the host, and their metadata.</summary>
    public static NvmeStatus Gather(NvmeRequest request, BlockFormat format, Span<byte> data, Span<byte> tuples, bool hasMetadata)
    {
        if (!hasMetadata || !format.IsExtended)
        {
            NvmeStatus status = request.Data.Read(data);
            return status == NvmeStatus.Success && hasMetadata ? request.Metadata.Read(tuples) : status;
        }

        for (; !data.IsEmpty; data = data[format.BlockLength..], tuples = tuples[format.MetadataLength..])
        {
            NvmeStatus status = request.Data.Read(data[..format.BlockLength]);
            status = status == NvmeStatus.Success ? request.Data.Read(tuples[..format.MetadataLength]) : status;
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        return NvmeStatus.Success;
    }

    /// <summary>Reads blocks that lie in one region.</summary>
    /// <param name="ns">The namespace.</param>
    /// <param name="format">Its format.</param>
    /// <param name="first">The first block.</param>
    /// <param name="data">Receives their data.</param>
    /// <param name="tuples">Receives their metadata, as long as there is any.</param>
    public static NvmeStatus ReadBlocks(NvmeNamespace ns, BlockFormat format, ulong first, Span<byte> data, Span<byte> tuples)
    {
        ulong offset = first << format.BlockShift;
        ns.Locks?.Enter(offset, data.Length);
        Errno error = ns.Backend.Read(offset, data);
        if (error == Errno.None && format.MetadataLength != 0)
        {
            error = ns.Metadata!.Read(first * BlockFormat.TupleLength, tuples);
        }

        ns.Locks?.Exit(offset, data.Length);
        if (format.Protection != 0)
        {
            ProtectionInformation.Turn(tuples);
        }

        return error.ToReadStatus();
    }

    /// <summary>Writes blocks that lie in one region.</summary>
    /// <param name="ns">The namespace.</param>
    /// <param name="format">Its format.</param>
    /// <param name="first">The first block.</param>
    /// <param name="data">Their data.</param>
    /// <param name="tuples">Their metadata, as long as there is any; not as it was afterwards.</param>
    public static NvmeStatus WriteBlocks(NvmeNamespace ns, BlockFormat format, ulong first, ReadOnlySpan<byte> data, Span<byte> tuples)
    {
        if (format.Protection != 0)
        {
            ProtectionInformation.Turn(tuples);
        }

        ulong offset = first << format.BlockShift;
        ns.Locks?.Enter(offset, data.Length);
        Errno error = ns.Backend.Write(offset, data);
        if (error == Errno.None && format.MetadataLength != 0)
        {
            error = ns.Metadata!.Write(first * BlockFormat.TupleLength, tuples);
        }

        ns.Locks?.Exit(offset, data.Length);
        return error.ToWriteStatus();
    }

    /// <summary>How many blocks from one on can be moved together: those of its region, which a buffer holds.</summary>
    public static uint CountInRegion(in BlockRange range, uint index)
        => Math.Min(range.Count - index, (uint)(BlockLocks.LeftInRegion((range.First + index) << range.Format.BlockShift) >> range.Format.BlockShift));

    /// <summary>Checks protection information as a command asks; at an error the error log gets the block.</summary>
    public static NvmeStatus Check(NvmeRequest request, in BlockRange range, ReadOnlySpan<byte> data, ReadOnlySpan<byte> tuples, uint index)
        => Check(request, range, data, tuples, new ProtectionTags(request.Command), index);

    /// <inheritdoc cref="Check(NvmeRequest, in BlockRange, ReadOnlySpan{byte}, ReadOnlySpan{byte}, uint)"/>
    public static NvmeStatus Check(NvmeRequest request, in BlockRange range, ReadOnlySpan<byte> data, ReadOnlySpan<byte> tuples, in ProtectionTags tags, uint index)
    {
        if (range.Format.Protection == 0 || !tags.Checks)
        {
            return NvmeStatus.Success;
        }

        NvmeStatus status = ProtectionInformation.Check(range.Format, data, tuples, tags, ref index);
        if (status != NvmeStatus.Success)
        {
            request.ErrorBlock = range.First + index;
        }

        return status;
    }

    /// <summary>Moves blocks without metadata between the backend and memory of the host.</summary>
    private static NvmeStatus MoveDirectly(NvmeNamespace ns, ulong offset, Span<byte> memory, DmaAccess access)
    {
        if (ns.Locks is not { } locks)
        {
            return MovePiece(ns.Backend, offset, memory, access);
        }

        NvmeStatus status = NvmeStatus.Success;
        while (!memory.IsEmpty && status == NvmeStatus.Success)
        {
            int length = Math.Min(memory.Length, BlockLocks.LeftInRegion(offset));
            locks.Enter(offset, length);
            status = MovePiece(ns.Backend, offset, memory[..length], access);
            locks.Exit(offset, length);
            offset += (ulong)length;
            memory = memory[length..];
        }

        return status;
    }

    private static NvmeStatus MovePiece(INvmeBackend backend, ulong offset, Span<byte> memory, DmaAccess access)
    {
        if (access == DmaAccess.Write)
        {
            return backend.Read(offset, memory).ToReadStatus();
        }

        return backend.Write(offset, memory).ToWriteStatus();
    }

    /// <summary>Moves some blocks by way of the buffer, and checks or makes their protection information.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static NvmeStatus MoveSome(NvmeRequest request, in BlockRange range, uint index, bool hasMetadata, DmaAccess access, out uint count)
    {
        BlockFormat format = range.Format;
        count = CountInRegion(range, index);
        Span<byte> data = request.Bounce[..((int)count << format.BlockShift)];
        Span<byte> tuples = request.Tuples[..((int)count * format.MetadataLength)];
        if (access == DmaAccess.Write)
        {
            NvmeStatus status = ReadBlocks(range.Namespace, format, range.First + index, data, tuples);
            status = status == NvmeStatus.Success ? Check(request, range, data, tuples, index) : status;
            return status == NvmeStatus.Success ? Scatter(request, format, data, tuples, hasMetadata) : status;
        }
        else
        {
            NvmeStatus status = Gather(request, format, data, tuples, hasMetadata);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            if (hasMetadata)
            {
                status = Check(request, range, data, tuples, index);
            }
            else if (format.Protection != 0)
            {
                ProtectionInformation.Make(format, data, tuples, new ProtectionTags(request.Command), index);
            }

            return status == NvmeStatus.Success ? WriteBlocks(range.Namespace, format, range.First + index, data, tuples) : status;
        }
    }

    private static NvmeStatus Scatter(NvmeRequest request, BlockFormat format, ReadOnlySpan<byte> data, ReadOnlySpan<byte> tuples, bool hasMetadata)
    {
        if (!hasMetadata || !format.IsExtended)
        {
            NvmeStatus status = request.Data.Write(data);
            return status == NvmeStatus.Success && hasMetadata ? request.Metadata.Write(tuples) : status;
        }

        for (; !data.IsEmpty; data = data[format.BlockLength..], tuples = tuples[format.MetadataLength..])
        {
            NvmeStatus status = request.Data.Write(data[..format.BlockLength]);
            status = status == NvmeStatus.Success ? request.Data.Write(tuples[..format.MetadataLength]) : status;
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        return NvmeStatus.Success;
    }
}
