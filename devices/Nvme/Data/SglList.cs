using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Scatter gather lists (NVMe Base 2.0 §4.1.2): a descriptor in the command that describes the data, or leads to segments of descriptors.</summary>
internal sealed class SglList(HostLane host)
{
    /// <summary>Identify.SGLS: supported without alignment, with bit buckets, and with more memory than is transferred.</summary>
    public const uint Support = 1 | (1 << 16) | (1 << 18);

    private const int DescriptorLength = 16;

    /// <summary>Descriptors that are held at a time.</summary>
    private const int Capacity = 64;

    /// <summary>Descriptors of a command. A longer list is refused: it could keep the queue at work for nothing.</summary>
    private const int Limit = 4096;

    private readonly byte[] _descriptors = new byte[Capacity * DescriptorLength];
    private int _next;
    private int _count;
    private int _seen;

    // The segment that is being read.
    private ulong _segment;
    private uint _segmentLeft;
    private bool _isLast;

    // The data block that has begun.
    private ulong _address;
    private uint _blockLeft;
    private bool _isBucket;

    public NvmeStatus Begin(ulong address, ulong second, long length)
    {
        _next = _count = _seen = 0;
        _blockLeft = 0;
        _segmentLeft = 0;
        _isLast = true;
        byte kind = (byte)(second >> 60);
        byte subtype = (byte)((second >> 56) & 15);
        uint size = (uint)second;
        switch (kind)
        {
            case 0:
                if (subtype != 0)
                {
                    return NvmeStatus.SglTypeInvalid;
                }

                _address = address;
                _blockLeft = size;
                _isBucket = false;
                return size < length ? NvmeStatus.DataSglLengthInvalid : NvmeStatus.Success;
            case 2 or 3:
                if (subtype != 0)
                {
                    return NvmeStatus.SglTypeInvalid;
                }

                return EnterSegment(address, size, isLast: kind == 3);
            default:
                return NvmeStatus.SglTypeInvalid;
        }
    }

    /// <summary>The next piece.</summary>
    /// <param name="limit">Its greatest length.</param>
    /// <param name="iova">Its address.</param>
    /// <param name="length">Its length.</param>
    /// <param name="isBucket">Whether the data of the piece is dropped: a bit bucket.</param>
    public NvmeStatus Next(int limit, out ulong iova, out int length, out bool isBucket)
    {
        iova = 0;
        length = 0;
        isBucket = false;
        while (_blockLeft == 0)
        {
            NvmeStatus status = TakeBlock();
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        iova = _address;
        isBucket = _isBucket;
        length = (int)Math.Min((uint)limit, _blockLeft);
        _address += (ulong)length;
        _blockLeft -= (uint)length;
        return NvmeStatus.Success;
    }

    /// <summary>Gives back the end of the last piece.</summary>
    public void Back(int length)
    {
        _address -= (ulong)length;
        _blockLeft += (uint)length;
    }

    /// <summary>Begins memory that is in one piece, for metadata.</summary>
    public void BeginContiguous(ulong address, uint length) => _ = Begin(address, length, length);

    private NvmeStatus EnterSegment(ulong address, uint length, bool isLast)
    {
        if (length == 0 || length % DescriptorLength != 0)
        {
            return NvmeStatus.InvalidSglSegment;
        }

        _segment = address;
        _segmentLeft = length;
        _isLast = isLast;
        return NvmeStatus.Success;
    }

    /// <summary>Goes to the next descriptor of data; one of length zero is passed over by the caller.</summary>
    private NvmeStatus TakeBlock()
    {
        if (_next == _count)
        {
            NvmeStatus status = Load();
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        if (++_seen > Limit)
        {
            return NvmeStatus.InvalidSglCount;
        }

        ReadOnlySpan<byte> descriptor = _descriptors.AsSpan(_next++ * DescriptorLength, DescriptorLength);
        _address = BinaryPrimitives.ReadUInt64LittleEndian(descriptor);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
        int kind = descriptor[15] >> 4;
        if ((descriptor[15] & 15) != 0)
        {
            return NvmeStatus.SglTypeInvalid;
        }

        switch (kind)
        {
            case 0 or 1:
                _blockLeft = length;
                _isBucket = kind == 1;
                return NvmeStatus.Success;
            case 2 or 3:
                // Only as the last of a segment that is not the last one.
                if (_isLast || _next != _count || _segmentLeft != 0)
                {
                    return NvmeStatus.InvalidSglSegment;
                }

                return EnterSegment(_address, length, isLast: kind == 3);
            default:
                return NvmeStatus.SglTypeInvalid;
        }
    }

    private NvmeStatus Load()
    {
        if (_segmentLeft == 0)
        {
            // The list ends before the data: it is too short, or its last segment never came.
            return _isLast ? NvmeStatus.DataSglLengthInvalid : NvmeStatus.InvalidSglSegment;
        }

        int count = (int)Math.Min(_segmentLeft / DescriptorLength, Capacity);
        if (host.Read(_segment, _descriptors.AsSpan(0, count * DescriptorLength)) != Errno.None)
        {
            return NvmeStatus.DataTransferError;
        }

        _next = 0;
        _count = count;
        _segment += (ulong)count * DescriptorLength;
        _segmentLeft -= (uint)count * DescriptorLength;
        return NvmeStatus.Success;
    }
}
