using System.Runtime.CompilerServices;
using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <content>Reading and writing (NVM Command Set 1.0 §3.2).</content>
public sealed partial class NvmeNamespace
{
    private const uint ForceUnitAccess = 1U << 30;
    private const uint Deallocate = 1 << 2;

    /// <summary>Dataset management and zeroing without a transfer are cut at this, so that no command takes for ever.</summary>
    private const uint MaximumBlocksOfRange = 1U << 24;

    /// <summary>Reads blocks into memory that the device reaches. Allocates nothing once as many operations were under way before.</summary>
    /// <param name="block">First block.</param>
    /// <param name="buffer">Memory of <see cref="NvmeController.AllocateDma"/> of this controller, the device's until the operation ends.</param>
    /// <param name="offset">Where in the buffer, a multiple of 4.</param>
    /// <param name="length">Bytes, a multiple of <see cref="BlockSize"/>; any number of them.</param>
    /// <returns>A task that completes when all were read; to be awaited once.</returns>
    /// <exception cref="NvmeException">The device refused or failed; the buffer's content is undefined.</exception>
    /// <exception cref="VfioException">EOPNOTSUPP: see <see cref="Problem"/>.</exception>
    public ValueTask ReadAsync(ulong block, DmaBuffer buffer, nuint offset, nuint length)
    {
        CheckUsable("read from");
        return Transfer(NvmOpcode.Read, block, buffer, offset, length, 0);
    }

    /// <summary>Writes blocks from memory that the device reaches. Allocates nothing once as many operations were under way before.</summary>
    /// <param name="block">First block.</param>
    /// <param name="buffer">Memory of <see cref="NvmeController.AllocateDma"/> of this controller, not to be changed until the operation ends.</param>
    /// <param name="offset">Where in the buffer, a multiple of 4.</param>
    /// <param name="length">Bytes, a multiple of <see cref="BlockSize"/>; any number of them.</param>
    /// <param name="force">Whether the data is on the media when the operation ends (FUA), past the write cache.</param>
    /// <returns>A task that completes when all were written; to be awaited once.</returns>
    /// <exception cref="NvmeException">The device refused or failed; any of the blocks may have been written.</exception>
    /// <exception cref="VfioException">EROFS: the controller was opened read-only. EOPNOTSUPP: see <see cref="Problem"/>.</exception>
    public ValueTask WriteAsync(ulong block, DmaBuffer buffer, nuint offset, nuint length, bool force = false)
    {
        CheckWritable("write to");
        return Transfer(NvmOpcode.Write, block, buffer, offset, length, force ? ForceUnitAccess : 0);
    }

    /// <summary>Reads blocks into any memory, by way of the driver's own.</summary>
    /// <param name="block">First block.</param>
    /// <param name="destination">The memory; its length is a multiple of <see cref="BlockSize"/>.</param>
    /// <returns>A task that completes when all were read.</returns>
    /// <exception cref="NvmeException">The device refused or failed.</exception>
    /// <exception cref="VfioException">EOPNOTSUPP: see <see cref="Problem"/>.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask ReadAsync(ulong block, Memory<byte> destination)
    {
        CheckUsable("read from");
        CheckLength((nuint)destination.Length);
        CheckRange(block, (ulong)destination.Length >> _blockShift);
        BouncePool pool = _controller.GetBouncePool();
        while (!destination.IsEmpty)
        {
            int length = Math.Min(destination.Length, pool.PieceLength);
            int piece = await pool.RentAsync().ConfigureAwait(false);
            try
            {
                await Transfer(NvmOpcode.Read, block, pool.Buffer, (nuint)piece, (nuint)length, 0).ConfigureAwait(false);
                pool.Buffer.Slice((nuint)piece, length).CopyTo(destination.Span);
            }
            finally
            {
                pool.Return(piece);
            }

            block += (ulong)length >> _blockShift;
            destination = destination[length..];
        }
    }

    /// <summary>Writes blocks from any memory, by way of the driver's own.</summary>
    /// <param name="block">First block.</param>
    /// <param name="source">The memory; its length is a multiple of <see cref="BlockSize"/>.</param>
    /// <param name="force">Whether the data is on the media when the operation ends (FUA), past the write cache.</param>
    /// <returns>A task that completes when all were written.</returns>
    /// <exception cref="NvmeException">The device refused or failed; any of the blocks may have been written.</exception>
    /// <exception cref="VfioException">EROFS: the controller was opened read-only. EOPNOTSUPP: see <see cref="Problem"/>.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask WriteAsync(ulong block, ReadOnlyMemory<byte> source, bool force = false)
    {
        CheckWritable("write to");
        CheckLength((nuint)source.Length);
        CheckRange(block, (ulong)source.Length >> _blockShift);
        BouncePool pool = _controller.GetBouncePool();
        while (!source.IsEmpty)
        {
            int length = Math.Min(source.Length, pool.PieceLength);
            int piece = await pool.RentAsync().ConfigureAwait(false);
            try
            {
                source.Span[..length].CopyTo(pool.Buffer.Slice((nuint)piece, length));
                await Transfer(NvmOpcode.Write, block, pool.Buffer, (nuint)piece, (nuint)length, force ? ForceUnitAccess : 0).ConfigureAwait(false);
            }
            finally
            {
                pool.Return(piece);
            }

            block += (ulong)length >> _blockShift;
            source = source[length..];
        }
    }

    /// <summary>Makes everything durable that was written before: empties the volatile write cache, if there is one.</summary>
    /// <returns>A task that completes when it is durable.</returns>
    /// <exception cref="NvmeException">The device refused or failed.</exception>
    public ValueTask FlushAsync()
    {
        CheckUsable("flush");
        return Submit(new SubmissionEntry { Opcode = NvmOpcode.Flush, NamespaceId = Id }, RequestKind.Command, 0, 1, 1);
    }

    /// <summary>Tells the device that the content of blocks is not needed any more (dataset management, deallocate). What they read as afterwards is up to the device.</summary>
    /// <param name="block">First block.</param>
    /// <param name="count">How many.</param>
    /// <returns>A task that completes when the device took notice.</returns>
    /// <exception cref="NvmeException">The device refused or failed.</exception>
    /// <exception cref="VfioException">EROFS: the controller was opened read-only. EOPNOTSUPP: the controller does not have the command.</exception>
    public ValueTask TrimAsync(ulong block, ulong count)
    {
        CheckWritable("deallocate blocks of");
        CheckSupported(_controller.Identity.SupportsDatasetManagement, "deallocate blocks of", "Dataset Management", 2);
        CheckRange(block, count);

        // One range a command: number of ranges less one in dword 10.
        return Submit(
            new SubmissionEntry { Opcode = NvmOpcode.DatasetManagement, NamespaceId = Id, Dword11 = Deallocate }, RequestKind.Ranges, block, count, MaximumBlocksOfRange);
    }

    /// <summary>Makes blocks read as zeros, without a transfer.</summary>
    /// <param name="block">First block.</param>
    /// <param name="count">How many.</param>
    /// <returns>A task that completes when they do.</returns>
    /// <exception cref="NvmeException">The device refused or failed.</exception>
    /// <exception cref="VfioException">EROFS: the controller was opened read-only. EOPNOTSUPP: the controller does not have the command.</exception>
    public ValueTask WriteZeroesAsync(ulong block, ulong count)
    {
        CheckWritable("write zeroes to");
        CheckSupported(_controller.Identity.SupportsWriteZeroes, "write zeroes to", "Write Zeroes", 3);
        CheckRange(block, count);
        return Submit(new SubmissionEntry { Opcode = NvmOpcode.WriteZeroes, NamespaceId = Id }, RequestKind.Transfer, block, count, _maximumBlocks);
    }

    private ValueTask Transfer(byte opcode, ulong block, DmaBuffer buffer, nuint offset, nuint length, uint flags)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        CheckLength(length);
        CheckRange(block, (ulong)length >> _blockShift);
        ArgumentOutOfRangeException.ThrowIfNotEqual((uint)offset % 4, 0u, nameof(offset));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, buffer.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, buffer.Length - offset);
        return Submit(
            new SubmissionEntry { Opcode = opcode, NamespaceId = Id, Dword12 = flags },
            RequestKind.Transfer,
            block,
            (ulong)length >> _blockShift,
            _maximumBlocks,
            buffer.Iova + offset,
            hasData: true);
    }

    private ValueTask Submit(in SubmissionEntry template, RequestKind kind, ulong block, ulong count, uint maximum, ulong iova = 0, bool hasData = false)
    {
        if (count == 0)
        {
            return ValueTask.CompletedTask;
        }

        QueuePair queue = _controller.SelectQueue();
        NvmeRequest request = queue.Rent();
        request.Template = template;
        request.Kind = kind;
        request.IsReplayable = true;
        request.HasData = hasData;
        request.NextBlock = block;
        request.RemainingBlocks = count;
        request.MaximumBlocks = maximum;
        request.BlockShift = _blockShift;
        request.NextIova = iova;
        ValueTask result = request.AsTask();
        queue.Submit(request);
        return result;
    }

    private void CheckLength(nuint length)
    {
        if ((length & ((nuint)1 << _blockShift) - 1) != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(length), length, $"It is a multiple of the block size, {BlockSize}.");
        }
    }

    private void CheckSupported(bool supported, string verb, string command, int bit)
    {
        if (!supported)
        {
            throw new VfioException(Errno.EOPNOTSUPP, $"{verb} namespace {Id} of {_controller.Address}", $"The controller does not have {command} (ONCS bit {bit}).");
        }
    }
}
