using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio;

/// <summary>Capabilities that follow an INFO structure, each with an id, a version and a body.</summary>
/// <remarks>
/// Each is padded to eight bytes and they keep the order in which they were added (<c>vfio_info_cap_add</c>, spec vfio-core §0.4).
/// Not safe for concurrent use. May be cleared and used again.
/// </remarks>
public sealed class CapabilityChain
{
    private const int HeaderSize = 8;
    private byte[] _bytes = [];
    private int _last = -1;

    /// <summary>Total length in bytes; 0 when there is none.</summary>
    public int Length { get; private set; }

    /// <summary>Forgets all capabilities.</summary>
    public void Clear()
    {
        Length = 0;
        _last = -1;
    }

    /// <summary>Appends a capability.</summary>
    /// <param name="id">Its id, in the id space of the structure it follows.</param>
    /// <param name="version">Its version.</param>
    /// <param name="body">What stands behind the eight-byte header.</param>
    public void Add(ushort id, ushort version, ReadOnlySpan<byte> body)
    {
        int start = Length;
        int size = (HeaderSize + body.Length + 7) & ~7;
        if (_bytes.Length < start + size)
        {
            Array.Resize(ref _bytes, Math.Max(start + size, _bytes.Length * 2));
        }

        Span<byte> capability = _bytes.AsSpan(start, size);
        capability.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(capability, id);
        BinaryPrimitives.WriteUInt16LittleEndian(capability[2..], version);
        body.CopyTo(capability[HeaderSize..]);
        if (_last >= 0)
        {
            // Links are made relative to the chain here and moved by the base when copied out.
            BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(_last + 4), (uint)start);
        }

        _last = start;
        Length = start + size;
    }

    /// <summary>Appends the sparse mmap capability: the only areas of a region that may be mapped.</summary>
    /// <param name="areas">The areas, offsets and sizes in bytes within the region.</param>
    public void AddSparseMap(ReadOnlySpan<SparseArea> areas)
    {
        Span<byte> body = stackalloc byte[8 + (areas.Length * 16)];
        body.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(body, (uint)areas.Length);
        for (int i = 0; i < areas.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(body[(8 + (i * 16))..], areas[i].Offset);
            BinaryPrimitives.WriteUInt64LittleEndian(body[(16 + (i * 16))..], areas[i].Size);
        }

        Add((ushort)VfioUapi.VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, body);
    }

    /// <summary>Copies the chain with its links moved to where it will lie.</summary>
    /// <param name="destination">At least <see cref="Length"/> bytes.</param>
    /// <param name="baseOffset">Offset of the chain from the start of the INFO structure.</param>
    public void CopyTo(Span<byte> destination, uint baseOffset)
    {
        _bytes.AsSpan(0, Length).CopyTo(destination);
        for (int at = 0; at != _last && at < Length;)
        {
            int next = (int)BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(at + 4));
            BinaryPrimitives.WriteUInt32LittleEndian(destination[(at + 4)..], (uint)next + baseOffset);
            at = next;
        }
    }
}
