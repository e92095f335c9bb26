using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

/// <content>DMA memory: in the client's own table, which serves the server's requests, and at the server.</content>
public sealed partial class VfioUserConnection
{
    /// <inheritdoc/>
    protected override Errno MapDma(DmaMemory memory, ulong offset, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        chosen = iova ?? 0;
        if ((uint)_ioas.AreaCount >= ServerCapabilities.MaxDmaMaps)
        {
            return Errno.ENOSPC;
        }

        // First here, so that the server finds the memory from the moment it knows of it.
        MappedMemorySource source = new(memory.Mapping, offset, length, writable: true, ownsMapping: false);
        Errno error = iova is { } wanted
            ? _ioas.MapFixed(wanted, length, source, 0, access)
            : _ioas.MapAnywhere(0, length, source, 0, access, out chosen);
        source.RemoveReference();
        if (error != Errno.None)
        {
            return error;
        }

        bool share = _options.ShareMemory && ServerCapabilities.MaxMessageFds > 0;
        FileDescriptor descriptor = memory.Descriptor;
        return Announce(chosen, length, access, share ? offset : 0, share ? new ReadOnlySpan<FileDescriptor>(in descriptor) : default);
    }

    /// <summary>Maps memory of any kind for the device's DMA, which reaches it by messages to this client.</summary>
    /// <param name="iova">The address, page aligned.</param>
    /// <param name="source">The memory, all of it.</param>
    internal Errno OfferMemory(ulong iova, MemorySource source)
    {
        Errno error = _ioas.MapFixed(iova, source.Length, source, 0, DmaAccess.ReadWrite);
        return error == Errno.None ? Announce(iova, source.Length, DmaAccess.ReadWrite, 0, default) : error;
    }

    /// <summary>Tells the server of memory that the own table has; when it refuses, the table has it no longer.</summary>
    private Errno Announce(ulong iova, ulong length, DmaAccess access, ulong offset, ReadOnlySpan<FileDescriptor> descriptor)
    {
        VfioUserDmaMapFlags flags = ((access & DmaAccess.Read) != 0 ? VfioUserDmaMapFlags.Readable : 0)
            | ((access & DmaAccess.Write) != 0 ? VfioUserDmaMapFlags.Writeable : 0);
        Span<byte> message = stackalloc byte[HeaderSize + Marshal.SizeOf<vfio_user_dma_map>()];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_user_dma_map
        {
            argsz = (uint)Marshal.SizeOf<vfio_user_dma_map>(),
            flags = (uint)flags,
            fd_offset = offset,
            address = iova,
            size = length,
        });
        Errno error = _channel.Exchange(VfioUserCommand.DmaMap, message, default, descriptor, default, default, out _);
        if (error != Errno.None)
        {
            ForgetDma(iova, length);
        }

        return error;
    }

    /// <inheritdoc/>
    protected override Errno UnmapDma(ulong iova, ulong length)
    {
        int size = Marshal.SizeOf<vfio_user_dma_unmap>();
        Span<byte> message = stackalloc byte[HeaderSize + size];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_user_dma_unmap { argsz = (uint)size, address = iova, size = length });
        Errno error = _channel.Exchange(VfioUserCommand.DmaUnmap, message, default, default, default, default, out _);
        if (error is Errno.None or Errno.ENOENT or Errno.ENOTCONN)
        {
            // From now on nothing of the server's reaches it; until now its device may have needed it to finish.
            ForgetDma(iova, length);
        }

        return error;
    }

    private void ForgetDma(ulong iova, ulong length)
    {
        if (IovaRange.TryCreate(iova, length, out IovaRange range))
        {
            _ = _ioas.Unmap(range, out _);
        }
    }
}
