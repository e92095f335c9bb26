using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The information of a region with its capabilities, as bytes that can be changed before they are answered.</summary>
internal sealed class RegionInfoText
{
    /// <summary>The end of the structure.</summary>
    public const int Minimum = 32;

    private const int BufferSize = 8192;
    private const int HeaderSize = 8;
    private const int SparseAreas = 16;
    private readonly byte[] _buffer = new byte[BufferSize];
    private readonly List<byte[]> _capabilities = [];
    private vfio_region_info _info;

    public ulong Size => _info.size;

    public ulong Offset => _info.offset;

    public bool IsAccessible => (_info.flags & (VfioUapi.VFIO_REGION_INFO_FLAG_READ | VfioUapi.VFIO_REGION_INFO_FLAG_WRITE)) != 0;

    public bool IsWritable => (_info.flags & VfioUapi.VFIO_REGION_INFO_FLAG_WRITE) != 0;

    /// <summary>Asks the device.</summary>
    public IoResult Ask(VfioDeviceFile device, uint index)
    {
        vfio_region_info asked = new() { argsz = BufferSize, index = index };
        MemoryMarshal.Write(_buffer, in asked);
        IoResult result = device.Ioctl(VfioUapi.VFIO_DEVICE_GET_REGION_INFO, new UserArgument(_buffer));
        if (result.IsError)
        {
            return result;
        }

        _info = MemoryMarshal.Read<vfio_region_info>(_buffer);
        for (int at = (int)_info.cap_offset; at >= Minimum && at + HeaderSize <= BufferSize;)
        {
            // A capability ends where the next one begins, or with what was answered.
            int next = (int)BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(at + 4));
            int end = next > at ? next : Math.Clamp((int)_info.argsz == BufferSize ? LengthOf(at) : (int)_info.argsz, at + HeaderSize, BufferSize);
            _capabilities.Add(_buffer[at..end]);
            at = next > at ? next : 0;
        }

        return result;
    }

    /// <summary>Where the region is memory that can be mapped.</summary>
    public IEnumerable<(ulong Offset, ulong Length)> MemoryAreas()
    {
        if ((_info.flags & VfioUapi.VFIO_REGION_INFO_FLAG_MMAP) == 0)
        {
            yield break;
        }

        if (_capabilities.Find(IsSparse) is not { } sparse)
        {
            yield return (0, _info.size);
            yield break;
        }

        int count = (int)BinaryPrimitives.ReadUInt32LittleEndian(sparse.AsSpan(HeaderSize));
        for (int i = 0; i < count && SparseAreas + (i * 16) + 16 <= sparse.Length; i++)
        {
            ulong length = BinaryPrimitives.ReadUInt64LittleEndian(sparse.AsSpan(SparseAreas + (i * 16) + 8));
            if (length > 0)
            {
                yield return (BinaryPrimitives.ReadUInt64LittleEndian(sparse.AsSpan(SparseAreas + (i * 16))), length);
            }
        }
    }

    /// <summary>All of it can be mapped, or nothing.</summary>
    public void SetMappable(bool isMappable)
    {
        _capabilities.RemoveAll(IsSparse);
        _info.flags = isMappable ? _info.flags | VfioUapi.VFIO_REGION_INFO_FLAG_MMAP : _info.flags & ~VfioUapi.VFIO_REGION_INFO_FLAG_MMAP;
    }

    /// <summary>Answers by the rules of structures with capabilities: all of them, or how much room they need (spec vfio-core §0.3).</summary>
    public Errno Reply(UserArgument argument, uint argsz)
    {
        int length = Minimum + _capabilities.Sum(static capability => Padded(capability.Length));
        _info.argsz = argsz;
        _info.cap_offset = 0;
        _info.flags &= ~VfioUapi.VFIO_REGION_INFO_FLAG_CAPS;
        if (_capabilities.Count > 0)
        {
            _info.flags |= VfioUapi.VFIO_REGION_INFO_FLAG_CAPS;
            if (argsz < length)
            {
                _info.argsz = (uint)length;
            }
            else
            {
                _info.cap_offset = Minimum;
                Errno error = argument.Write(Minimum, Chain(length - Minimum));
                if (error != Errno.None)
                {
                    return error;
                }
            }
        }

        return argument.Write(0, in _info);
    }

    private byte[] Chain(int length)
    {
        byte[] chain = new byte[length];
        int at = 0;
        for (int i = 0; i < _capabilities.Count; i++)
        {
            _capabilities[i].CopyTo(chain, at);
            int next = at + Padded(_capabilities[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(chain.AsSpan(at + 4), i + 1 < _capabilities.Count ? (uint)(Minimum + next) : 0);
            at = next;
        }

        return chain;
    }

    /// <summary>The length of the last capability, of which only its own content tells.</summary>
    private int LengthOf(int at)
    {
        ReadOnlySpan<byte> capability = _buffer.AsSpan(at);
        return BinaryPrimitives.ReadUInt16LittleEndian(capability) switch
        {
            (ushort)VfioUapi.VFIO_REGION_INFO_CAP_SPARSE_MMAP => at + SparseAreas + ((int)BinaryPrimitives.ReadUInt32LittleEndian(capability[HeaderSize..]) * 16),
            (ushort)VfioUapi.VFIO_REGION_INFO_CAP_TYPE => at + 16,
            _ => at + HeaderSize,
        };
    }

    private static bool IsSparse(byte[] capability)
        => BinaryPrimitives.ReadUInt16LittleEndian(capability) == VfioUapi.VFIO_REGION_INFO_CAP_SPARSE_MMAP;

    private static int Padded(int length) => (length + 7) & ~7;
}
