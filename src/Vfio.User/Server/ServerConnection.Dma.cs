using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    private Errno DmaMap(ReadOnlySpan<byte> payload)
    {
        const VfioUserDmaMapFlags Known =
            VfioUserDmaMapFlags.Readable | VfioUserDmaMapFlags.Writeable | VfioUserDmaMapFlags.Mmap | VfioUserDmaMapFlags.FileIo;
        if (!TryRead(payload, out vfio_user_dma_map map) || map.argsz < Marshal.SizeOf<vfio_user_dma_map>())
        {
            return Errno.EINVAL;
        }

        VfioUserDmaMapFlags flags = (VfioUserDmaMapFlags)map.flags;
        VfioUserDmaMapFlags mode = flags & (VfioUserDmaMapFlags.Mmap | VfioUserDmaMapFlags.FileIo);
        if ((flags & ~Known) != 0
            || (mode != 0 && (!uint.IsPow2((uint)mode) || _descriptors.Count == 0))
            || _descriptors.Count > 1
            || !IovaRange.TryCreate(map.address, map.size, out IovaRange range))
        {
            return Errno.EINVAL;
        }

        const ulong MaximumSize = 8UL << 40;
        if (map.size > MaximumSize)
        {
            return Errno.ENOSPC;
        }

        DmaAccess access = ((flags & VfioUserDmaMapFlags.Readable) != 0 ? DmaAccess.Read : DmaAccess.None)
            | ((flags & VfioUserDmaMapFlags.Writeable) != 0 ? DmaAccess.Write : DmaAccess.None);
        if (access == DmaAccess.None)
        {
            return Errno.EINVAL;
        }

        // An overlap is told before the descriptor is looked at, so that a mapping that cannot be costs nothing.
        if (_ioas!.TryGetArea(range.Start, out _))
        {
            return Errno.EEXIST;
        }

        MemorySource? source;
        if (_descriptors.Count == 0 || _options.MessageDma)
        {
            source = new MessageMemorySource(_reverse!, map.address, map.size);
            _hasMessageMemory = true;
            MayWorkHere();
        }
        else
        {
            FileDescriptor descriptor = _descriptors.Take(0)!;
            Errno created = _memory.TryCreate(descriptor, map.fd_offset, map.size, access, mode != VfioUserDmaMapFlags.FileIo, out source);
            if (created != Errno.None)
            {
                descriptor.Dispose();
                return created;
            }
        }

        Errno error = _ioas.MapFixed(map.address, map.size, source!, 0, access);
        if (error == Errno.None)
        {
            NoteReach(source!.Kind, map.address, map.size);
        }

        source!.RemoveReference();
        return error;
    }

    /// <summary>Tells the log once for each way in which the client's memory is reached: it decides how fast the device can be.</summary>
    private void NoteReach(string kind, ulong address, ulong size)
    {
        int bit = kind switch { "mapped" => 1, "descriptor" => 2, _ => 4 };
        if ((_reachLogged & bit) == 0)
        {
            _reachLogged |= bit;
            LogReach(_deviceName, kind, address, size);
        }
    }

    private void DmaUnmap(ReadOnlySpan<byte> payload)
    {
        int size = Marshal.SizeOf<vfio_user_dma_unmap>();
        if (!TryRead(payload, out vfio_user_dma_unmap unmap) || unmap.argsz < size || unmap.argsz > _options.MaximumDataTransferSize)
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        switch ((VfioUserDmaUnmapFlags)unmap.flags)
        {
            case VfioUserDmaUnmapFlags.None:
                DmaUnmapRange(payload[..size], unmap, dirty: false);
                break;
            case VfioUserDmaUnmapFlags.GetDirtyBitmap:
                DmaUnmapRange(payload, unmap, dirty: true);
                break;
            case VfioUserDmaUnmapFlags.UnmapAll when unmap.address == 0 && unmap.size == 0:
                Errno error = _ioas!.Unmap(IovaRange.All, out _);
                _memory.Trim();
                if (error != Errno.None)
                {
                    ReplyError(error);
                }
                else
                {
                    Reply(payload[..size]);
                }

                break;
            default:
                ReplyError(Errno.EINVAL);
                break;
        }
    }

    private void DmaUnmapRange(ReadOnlySpan<byte> payload, vfio_user_dma_unmap unmap, bool dirty)
    {
        if (!IovaRange.TryCreate(unmap.address, unmap.size, out IovaRange range))
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        // Nothing may be lost by a request that does not fit the mappings: both ends are checked first.
        if (CutsArea(range.Start, range) || CutsArea(range.Last, range))
        {
            ReplyError(Errno.ENOENT);
            return;
        }

        DirtyBitmap? bitmap = null;
        Errno error = Errno.None;
        if (dirty)
        {
            error = ReadDirtyForUnmap(payload, unmap, range, out bitmap);
        }

        ulong removed = 0;
        if (error == Errno.None)
        {
            error = _ioas!.Unmap(range, out removed);
        }

        // QEMU unmaps whole windows of a virtual IOMMU whether or not anything is mapped there, as the kernel lets it.
        if (error == Errno.None && removed == 0 && !_client.LooksLikeQemu)
        {
            error = Errno.ENOENT;
        }

        if (error != Errno.None)
        {
            ReplyError(error);
            return;
        }

        int size = Marshal.SizeOf<vfio_user_dma_unmap>();
        if (bitmap is null)
        {
            Reply(payload[..size]);
            return;
        }

        ReadOnlySpan<byte> bits = MemoryMarshal.AsBytes(bitmap.Words);
        byte[] reply = new byte[size + Marshal.SizeOf<vfio_user_bitmap>() + bits.Length];
        payload[..(size + Marshal.SizeOf<vfio_user_bitmap>())].CopyTo(reply);
        bits.CopyTo(reply.AsSpan(size + Marshal.SizeOf<vfio_user_bitmap>()));
        Reply(reply);
    }

    private bool CutsArea(ulong address, IovaRange range)
        => _ioas!.TryGetArea(address, out IovaRange area) && !range.Contains(area);

    private Errno ReadDirtyForUnmap(ReadOnlySpan<byte> payload, vfio_user_dma_unmap unmap, IovaRange range, out DirtyBitmap? bitmap)
    {
        bitmap = null;
        int size = Marshal.SizeOf<vfio_user_dma_unmap>();
        int full = size + Marshal.SizeOf<vfio_user_bitmap>();
        if (payload.Length < full)
        {
            return Errno.EINVAL;
        }

        vfio_user_bitmap wanted = MemoryMarshal.Read<vfio_user_bitmap>(payload[size..]);
        Errno error = DirtyBitmap.TryCreate(range, wanted.pgsize, _options.MaximumDataTransferSize, out bitmap);
        if (error != Errno.None)
        {
            return Errno.EINVAL;
        }

        ulong bytes = (ulong)bitmap!.Words.Length * sizeof(ulong);
        if (wanted.size < bytes || unmap.argsz < (ulong)full + bytes)
        {
            return Errno.EINVAL;
        }

        error = _file!.ReadDirtyLog(range, bitmap);
        return error == Errno.ENOTTY ? Errno.EINVAL : error;
    }
}
