using System.Diagnostics;
using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Walks the memory that a command's data pointer describes, piece by piece, in the order of the data (NVMe Base 2.0 §4.1). Lists are read
/// once, in parts: what the host changes afterwards has no effect, and no list however long takes memory here.
/// </summary>
internal sealed class DataPointer(DmaSpace dma)
{
    private readonly PrpList _prps = new(dma);
    private readonly SglList _sgls = new(dma);
    private bool _isSgl;
    private long _remaining;

    /// <summary>Begins the data of a command.</summary>
    /// <param name="command">The command.</param>
    /// <param name="length">Bytes that it transfers.</param>
    /// <param name="pageSize">The host's page size, by CC.MPS.</param>
    /// <returns>What is wrong with the pointer as far as can be seen now.</returns>
    public NvmeStatus Begin(in NvmeCommand command, long length, uint pageSize)
    {
        _remaining = length;
        _isSgl = command.DataPointerKind != 0;
        return command.DataPointerKind switch
        {
            0 => _prps.Begin(command.Pointer1, command.Pointer2, length, pageSize),

            // The two kinds of SGL differ in what the metadata pointer is, which nothing uses.
            1 or 2 => _sgls.Begin(command.Pointer1, command.Pointer2, length),
            _ => NvmeStatus.InvalidField,
        };
    }

    /// <summary>The next piece.</summary>
    /// <param name="limit">Its greatest length, at most what is left.</param>
    /// <param name="iova">Its address.</param>
    /// <param name="length">Its length, at least 1 when there is no error.</param>
    /// <param name="isBucket">Whether the data of the piece goes nowhere; only with SGLs.</param>
    /// <returns>What is wrong with the list.</returns>
    public NvmeStatus Next(int limit, out ulong iova, out int length, out bool isBucket)
    {
        Debug.Assert(limit <= _remaining, "A command takes no more than it began.");
        isBucket = false;
        NvmeStatus status = _isSgl ? _sgls.Next(limit, out iova, out length, out isBucket) : _prps.Next(limit, out iova, out length);
        _remaining -= length;
        return status;
    }
}
