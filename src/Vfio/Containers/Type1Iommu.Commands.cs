using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

public sealed partial class Type1Iommu
{
    private const uint UnmapReport = VfioUapi.VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;

    /// <summary>Tells what can be mapped.</summary>
    /// <returns>Page sizes, the budget left, and the usable ranges.</returns>
    /// <remarks>VFIO_IOMMU_GET_INFO; spec vfio-core §8.4.</remarks>
    public Type1Info GetInfo()
    {
        lock (_lock)
        {
            return new Type1Info(_pageSizes, _available, [.. _valid]);
        }
    }

    /// <inheritdoc/>
    /// <remarks><c>vfio_iommu_type1_ioctl</c>.</remarks>
    public override IoResult Ioctl(uint command, UserArgument argument)
    {
        lock (_lock)
        {
            if (_released)
            {
                return Errno.EINVAL;
            }
        }

        return command switch
        {
            VfioUapi.VFIO_IOMMU_GET_INFO => InfoCommand(argument),
            VfioUapi.VFIO_IOMMU_MAP_DMA => MapCommand(argument),
            VfioUapi.VFIO_IOMMU_UNMAP_DMA => UnmapCommand(argument),
            VfioUapi.VFIO_IOMMU_DIRTY_PAGES => DirtyCommand(argument),
            _ => Errno.ENOTTY,
        };
    }

    private IoResult InfoCommand(UserArgument argument)
    {
        const int Minimum = 16;
        const int Size = 24;
        Errno error = argument.ReadExtensible(Minimum, out vfio_iommu_type1_info raw, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        Type1Info info = GetInfo();
        CapabilityChain chain = new();
        Span<byte> body = stackalloc byte[24];
        body.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(body[8..], info.PageSizes & (~info.PageSizes + 1));
        BinaryPrimitives.WriteUInt64LittleEndian(body[16..], Type1Bitmap.MaximumSize);
        chain.Add((ushort)VfioUapi.VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 1, body);
        BinaryPrimitives.WriteUInt32LittleEndian(body, (uint)info.AvailableMappings);
        chain.Add((ushort)VfioUapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, body[..4]);
        if (info.UsableRanges.Count > 0)
        {
            byte[] ranges = new byte[8 + (info.UsableRanges.Count * 16)];
            BinaryPrimitives.WriteUInt32LittleEndian(ranges, (uint)info.UsableRanges.Count);
            for (int i = 0; i < info.UsableRanges.Count; i++)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(ranges.AsSpan(8 + (i * 16)), info.UsableRanges[i].Start);
                BinaryPrimitives.WriteUInt64LittleEndian(ranges.AsSpan(16 + (i * 16)), info.UsableRanges[i].Last);
            }

            chain.Add((ushort)VfioUapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, ranges);
        }

        raw.flags = VfioUapi.VFIO_IOMMU_INFO_PGSIZES | VfioUapi.VFIO_IOMMU_INFO_CAPS;
        raw.iova_pgsizes = info.PageSizes;
        raw.cap_offset = 0;
        uint total = (uint)(Size + chain.Length);
        if (argsz < total)
        {
            raw.argsz = total;
        }
        else
        {
            raw.cap_offset = Size;
            byte[] capabilities = new byte[chain.Length];
            chain.CopyTo(capabilities, Size);
            error = argument.Write(Size, capabilities);
            if (error != Errno.None)
            {
                return error;
            }
        }

        int written = (int)Math.Min(argsz, Size);
        return argument.Write(0, MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_iommu_type1_info>(in raw))[..written]);
    }

    private IoResult MapCommand(UserArgument argument)
    {
        const int Size = 32;
        Errno error = argument.ReadExtensible(Size, out vfio_iommu_type1_dma_map map, out _);
        return error != Errno.None
            ? error
            : Map((Type1MapFlags)map.flags, argument.Memory ?? s_processMemory, map.vaddr, map.iova, map.size);
    }

    private IoResult UnmapCommand(UserArgument argument)
    {
        const int Minimum = 24;
        const uint Known = UnmapReport | VfioUapi.VFIO_DMA_UNMAP_FLAG_ALL | VfioUapi.VFIO_DMA_UNMAP_FLAG_VADDR;
        Errno error = argument.ReadExtensible(Minimum, out vfio_iommu_type1_dma_unmap unmap, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        bool report = (unmap.flags & UnmapReport) != 0;
        if ((unmap.flags & ~Known) != 0 || (report && (unmap.flags & ~UnmapReport) != 0))
        {
            return Errno.EINVAL;
        }

        ulong unmapped;
        if (report)
        {
            error = ReadBitmap(argument, argsz, Minimum, unmap.size, out Type1Bitmap bitmap, out UserArgument target);
            if (error != Errno.None)
            {
                return error;
            }

            error = UnmapAndReport(unmap.iova, unmap.size, bitmap, target, out unmapped);
        }
        else
        {
            error = Unmap((Type1UnmapFlags)unmap.flags, unmap.iova, unmap.size, out unmapped);
        }

        const ulong SizeOffset = 16;
        return error != Errno.None ? error : argument.Write(SizeOffset, unmapped);
    }

    private IoResult DirtyCommand(UserArgument argument)
    {
        const int Minimum = 8;
        const ulong BitmapOffset = 24;
        if (!_isVersion2)
        {
            return Errno.EACCES;
        }

        Errno error = argument.ReadExtensible(Minimum, out vfio_iommu_type1_dirty_bitmap dirty, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        switch (dirty.flags)
        {
            case VfioUapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
                return StartDirtyTracking();
            case VfioUapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
                return StopDirtyTracking();
            case VfioUapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
                if (argsz < BitmapOffset + 24)
                {
                    return Errno.EINVAL;
                }

                error = argument.Read(Minimum, out vfio_iommu_type1_dirty_bitmap_get get);
                if (error != Errno.None)
                {
                    return error;
                }

                if (get.size == 0 || !IovaRange.TryCreate(get.iova, get.size, out _))
                {
                    return get.size == 0 ? Errno.EINVAL : Errno.EOVERFLOW;
                }

                error = ReadBitmap(argument, argsz, BitmapOffset, get.size, out Type1Bitmap bitmap, out UserArgument target);
                return error != Errno.None ? error : GetDirtyPages(get.iova, get.size, bitmap, target);
            default:
                return Errno.EINVAL;
        }
    }

    private static Errno ReadBitmap(UserArgument argument, uint argsz, ulong offset, ulong size, out Type1Bitmap bitmap, out UserArgument target)
    {
        const uint BitmapSize = 24;
        bitmap = default;
        target = default;
        if (argsz < offset + BitmapSize)
        {
            return Errno.EINVAL;
        }

        Errno error = argument.Read(offset, out vfio_bitmap raw);
        if (error != Errno.None)
        {
            return error;
        }

        bitmap = new Type1Bitmap(raw.pgsize, raw.size);
        target = argument.At(raw.data);

        // The upper half of the addresses is never a user's (access_ok).
        const ulong UserEnd = 1UL << 63;
        bool isPossible = raw.data <= UserEnd && raw.size <= UserEnd - raw.data;
        return isPossible && bitmap.IsSufficient(size) ? Errno.None : Errno.EINVAL;
    }
}
