using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.User;

/// <summary>Executes the commands that a server sends to its client, DMA_READ and DMA_WRITE, on the client's own table of DMA memory.</summary>
/// <remarks>One thread at a time. Whatever the server asks for, only memory that is mapped, and allows the access, is touched.</remarks>
internal sealed class ReverseService
{
    private const int HeadSize = VfioUserWire.HeaderSize + 16;
    private readonly IommufdAccess _memory;
    private readonly MessageWriter _writer;
    private readonly uint _limit;
    private byte[] _buffer = GC.AllocateUninitializedArray<byte>(4096, pinned: true);

    /// <param name="memory">The memory that is mapped for DMA.</param>
    /// <param name="writer">Where replies go.</param>
    /// <param name="limit">Largest count that is served, in bytes.</param>
    public ReverseService(IommufdAccess memory, MessageWriter writer, uint limit)
    {
        _memory = memory;
        _writer = writer;
        _limit = limit;
    }

    /// <summary>Executes a command and answers it.</summary>
    public void Serve(VfioUserHeader header, ReadOnlySpan<byte> payload)
    {
        bool read = header.cmd == (ushort)VfioUserCommand.DmaRead;
        if (!read && header.cmd != (ushort)VfioUserCommand.DmaWrite)
        {
            Reply(header, Errno.ENOSYS, HeadSize);
            return;
        }

        if (!MemoryMarshal.TryRead(payload, out vfio_user_dma_access access))
        {
            Reply(header, Errno.EINVAL, HeadSize);
            return;
        }

        ReadOnlySpan<byte> data = payload[Marshal.SizeOf<vfio_user_dma_access>()..];
        if (access.count > _limit)
        {
            Reply(header, Errno.E2BIG, HeadSize);
            return;
        }

        if ((ulong)data.Length != (read ? 0 : access.count))
        {
            Reply(header, Errno.EINVAL, HeadSize);
            return;
        }

        int size = HeadSize + (read ? (int)access.count : 0);
        if (_buffer.Length < size)
        {
            _buffer = GC.AllocateUninitializedArray<byte>(size, pinned: true);
        }

        Errno error = access.count == 0 ? Errno.None
            : read ? _memory.Read(access.address, _buffer.AsSpan(HeadSize, (int)access.count))
            : _memory.Write(access.address, data);
        MemoryMarshal.Write(_buffer.AsSpan(VfioUserWire.HeaderSize), in access);
        Reply(header, error, size);
    }

    private void Reply(VfioUserHeader header, Errno error, int size)
    {
        if (((VfioUserFlags)header.flags & VfioUserFlags.NoReply) != 0)
        {
            return;
        }

        header.flags = (uint)VfioUserFlags.Reply;
        header.error_no = 0;
        if (error != Errno.None)
        {
            size = VfioUserWire.HeaderSize;
            header.flags |= (uint)VfioUserFlags.Error;

            // What the map says about its own terms, in those of a memory access (spec vfio-user §9, case 96).
            header.error_no = (uint)(error switch
            {
                Errno.ENOENT or Errno.EOVERFLOW => Errno.EFAULT,
                Errno.EPERM => Errno.EACCES,
                _ => error,
            });
        }

        header.msg_size = (uint)size;
        MemoryMarshal.Write(_buffer.AsSpan(), in header);
        _ = _writer.Send(_buffer.AsSpan(0, size), default, default);
    }
}
