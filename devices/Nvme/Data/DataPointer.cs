using System.Buffers.Binary;
using System.Diagnostics;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Walks the memory that a command's data pointer or metadata pointer describes, piece by piece, in the order of the data (NVMe Base 2.0 §4.1).
/// Lists are read once, in parts: what the host changes afterwards has no effect, and no list however long takes memory here.
/// </summary>
internal sealed class DataPointer(HostLane host)
{
    private const int DescriptorLength = 16;

    private readonly PrpList _prps = new(host);
    private readonly SglList _sgls = new(host);
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

            // The two kinds of SGL differ in what the metadata pointer is.
            1 or 2 => _sgls.Begin(command.Pointer1, command.Pointer2, length),
            _ => NvmeStatus.InvalidField,
        };
    }

    /// <summary>Begins the metadata of a command that has a buffer of its own for it: the address of the buffer, or of an SGL descriptor (PSDT 2).</summary>
    /// <param name="command">The command.</param>
    /// <param name="length">Bytes that it transfers.</param>
    /// <returns>What is wrong with the pointer as far as can be seen now.</returns>
    public NvmeStatus BeginMetadata(in NvmeCommand command, int length)
    {
        _remaining = length;
        _isSgl = true;
        if (command.DataPointerKind != 2)
        {
            _sgls.BeginContiguous(command.MetadataPointer, (uint)length);
            return (command.MetadataPointer & 3) == 0 ? NvmeStatus.Success : NvmeStatus.InvalidField;
        }

        Span<byte> descriptor = stackalloc byte[DescriptorLength];
        return host.Read(command.MetadataPointer, descriptor) != Errno.None
            ? NvmeStatus.DataTransferError
            : _sgls.Begin(BinaryPrimitives.ReadUInt64LittleEndian(descriptor), BinaryPrimitives.ReadUInt64LittleEndian(descriptor[8..]), length);
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

    /// <summary>Gives back the end of the last piece: the next begins with it.</summary>
    public void Back(int length)
    {
        _remaining += length;
        if (_isSgl)
        {
            _sgls.Back(length);
        }
        else
        {
            _prps.Back(length);
        }
    }

    /// <summary>Copies the next bytes from the host.</summary>
    public NvmeStatus Read(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            NvmeStatus status = Next(destination.Length, out ulong iova, out int length, out bool isBucket);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            // A bit bucket is for what the host does not want; as a source it makes no sense.
            if (isBucket)
            {
                return NvmeStatus.SglTypeInvalid;
            }

            if (host.Read(iova, destination[..length]) != Errno.None)
            {
                return NvmeStatus.DataTransferError;
            }

            destination = destination[length..];
        }

        return NvmeStatus.Success;
    }

    /// <summary>Copies the next bytes to the host.</summary>
    public NvmeStatus Write(ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            NvmeStatus status = Next(source.Length, out ulong iova, out int length, out bool isBucket);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            if (!isBucket && host.Write(iova, source[..length]) != Errno.None)
            {
                return NvmeStatus.DataTransferError;
            }

            source = source[length..];
        }

        return NvmeStatus.Success;
    }
}
