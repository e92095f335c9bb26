using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>A container's commands, carried out on the compatibility address space (<c>vfio_compat.c</c>; spec iommufd §6).</summary>
public sealed partial class IommufdContext
{
    private IoResult ContainerCommand(uint command, UserArgument argument) => command switch
    {
        VfioUapi.VFIO_GET_API_VERSION => IoResult.Success(VfioUapi.VFIO_API_VERSION),
        VfioUapi.VFIO_CHECK_EXTENSION => CheckExtension(argument.Value),
        VfioUapi.VFIO_SET_IOMMU => SetContainerType(argument.Value),
        VfioUapi.VFIO_IOMMU_GET_INFO => ContainerInfoCommand(argument),
        VfioUapi.VFIO_IOMMU_MAP_DMA => ContainerMapCommand(argument),
        VfioUapi.VFIO_IOMMU_UNMAP_DMA => ContainerUnmapCommand(argument),
        _ => Errno.ENOTTY,
    };

    private IoResult CheckExtension(ulong extension)
    {
        switch (extension)
        {
            case VfioUapi.VFIO_TYPE1_IOMMU or VfioUapi.VFIO_TYPE1v2_IOMMU or VfioUapi.VFIO_UNMAP_ALL:
                return IoResult.Success(IsNoIommu ? 0 : 1);
            case VfioUapi.VFIO_NOIOMMU_IOMMU:
                return IoResult.Success(1);
            case VfioUapi.VFIO_DMA_CC_IOMMU:
                Errno error = GetCompat(out Ioas? ioas);
                if (error != Errno.None)
                {
                    return error;
                }

                bool coherent;
                lock (ioas!.PageTableLock)
                {
                    coherent = ioas.PageTables.TrueForAll(static pageTable => pageTable.PagingDomain.EnforcesCoherency);
                }

                Put(ioas);
                return IoResult.Success(coherent ? 1 : 0);
            default:
                return IoResult.Success();
        }
    }

    private Errno SetContainerType(ulong type)
    {
        if (IsNoIommu)
        {
            return type != VfioUapi.VFIO_NOIOMMU_IOMMU ? Errno.EINVAL
                : (_caller().Capabilities & CallerCapabilities.RawIo) == 0 ? Errno.EPERM
                : Errno.None;
        }

        if (type is not (VfioUapi.VFIO_TYPE1_IOMMU or VfioUapi.VFIO_TYPE1v2_IOMMU))
        {
            return Errno.EINVAL;
        }

        Errno error = GetCompat(out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        // Its users unmap in parts, which only page by page entries allow.
        error = type == VfioUapi.VFIO_TYPE1_IOMMU ? ioas!.Map.SetLargePages(false) : Errno.None;
        Put(ioas!);
        return error;
    }

    private Errno ContainerInfoCommand(UserArgument argument)
    {
        const int Minimum = 16;
        int header = Unsafe.SizeOf<vfio_iommu_type1_info>();
        const int AvailableSize = 16;
        Errno error = argument.Read(0, out uint argsz);
        if (error != Errno.None || argsz < Minimum)
        {
            return error != Errno.None ? error : Errno.EINVAL;
        }

        error = GetCompat(out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        int count = ioas!.GetUsableRanges(default);
        IovaRange[] ranges = new IovaRange[count];
        count = Math.Min(ioas.GetUsableRanges(ranges), count);
        ulong pageSizes = ioas.Map.CommonPageSizes;
        Put(ioas);

        uint total = (uint)(header + AvailableSize + Unsafe.SizeOf<vfio_iommu_type1_info_cap_iova_range>() + (count * Unsafe.SizeOf<vfio_iova_range>()));
        vfio_iommu_type1_info info = new()
        {
            argsz = total,
            flags = VfioUapi.VFIO_IOMMU_INFO_PGSIZES | VfioUapi.VFIO_IOMMU_INFO_CAPS,
            iova_pgsizes = pageSizes,
            cap_offset = argsz >= total ? (uint)header : 0,
        };
        error = WriteCapabilities(argument, argsz, (uint)header, ranges.AsSpan(0, count));
        return error != Errno.None
            ? error
            : argument.Write(0, MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_iommu_type1_info>(in info))[..(int)Math.Min(argsz, (uint)header)]);
    }

    /// <summary>Writes each part of the chain for which the user has room, and nothing in between (<c>iommufd_fill_cap_iova</c>, <c>iommufd_fill_cap_dma_avail</c>).</summary>
    private static Errno WriteCapabilities(UserArgument argument, uint argsz, uint at, ReadOnlySpan<IovaRange> ranges)
    {
        const uint AvailableSize = 16;
        vfio_iommu_type1_info_dma_avail available = new()
        {
            header = new vfio_info_cap_header { id = (ushort)VfioUapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, version = 1, next = at + AvailableSize },
            avail = uint.MaxValue,
        };
        Errno error = argsz >= at + Unsafe.SizeOf<vfio_iommu_type1_info_dma_avail>() ? argument.Write(at, in available) : Errno.None;
        at += AvailableSize;
        vfio_iommu_type1_info_cap_iova_range list = new()
        {
            header = new vfio_info_cap_header { id = (ushort)VfioUapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, version = 1 },
            nr_iovas = (uint)ranges.Length,
        };
        ulong end = at + (ulong)Unsafe.SizeOf<vfio_iommu_type1_info_cap_iova_range>();
        foreach (IovaRange range in ranges)
        {
            ulong start = end;
            end += (ulong)Unsafe.SizeOf<vfio_iova_range>();
            if (error == Errno.None && argsz >= end)
            {
                error = argument.Write(start, new vfio_iova_range { start = range.Start, end = range.Last });
            }
        }

        return error == Errno.None && argsz >= end ? argument.Write(at, in list) : error;
    }

    private Errno ContainerMapCommand(UserArgument argument)
    {
        const int Minimum = 32;
        Errno error = argument.ReadExtensible(Minimum, out vfio_iommu_type1_dma_map map, out _);
        if (error != Errno.None)
        {
            return error;
        }

        if ((map.flags & ~(VfioUapi.VFIO_DMA_MAP_FLAG_READ | VfioUapi.VFIO_DMA_MAP_FLAG_WRITE)) != 0)
        {
            return Errno.EINVAL;
        }

        error = GetCompat(out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        DmaAccess access = ((map.flags & VfioUapi.VFIO_DMA_MAP_FLAG_READ) != 0 ? DmaAccess.Read : DmaAccess.None)
            | ((map.flags & VfioUapi.VFIO_DMA_MAP_FLAG_WRITE) != 0 ? DmaAccess.Write : DmaAccess.None);
        error = MapUserMemory(ioas!, argument.Memory, map.vaddr, map.size, isFixed: true, ref map.iova, access);
        Put(ioas!);
        return error;
    }

    private Errno ContainerUnmapCommand(UserArgument argument)
    {
        const int Minimum = 24;
        const ulong SizeOffset = 16;
        Errno error = argument.ReadExtensible(Minimum, out vfio_iommu_type1_dma_unmap unmap, out _);
        if (error != Errno.None)
        {
            return error;
        }

        bool all = (unmap.flags & VfioUapi.VFIO_DMA_UNMAP_FLAG_ALL) != 0;
        if ((unmap.flags & ~VfioUapi.VFIO_DMA_UNMAP_FLAG_ALL) != 0)
        {
            return Errno.EINVAL;
        }

        error = GetCompat(out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        ulong unmapped = 0;
        bool isTold = true;
        if (all)
        {
            isTold = unmap.iova == 0 && unmap.size == 0;
            error = isTold ? ioas!.Unmap(IovaRange.All, out unmapped) : Errno.EINVAL;
        }
        else if (unmap.size == 0)
        {
            error = Errno.EINVAL;
        }
        else if (!IovaRange.TryCreate(unmap.iova, unmap.size, out IovaRange range))
        {
            error = Errno.EOVERFLOW;
        }
        else
        {
            error = ioas!.Map.LargePages ? Errno.None : CutOut(ioas, range);
            if (error == Errno.None)
            {
                error = ioas.Unmap(range, out unmapped);
            }
            else
            {
                isTold = false;
            }
        }

        Put(ioas!);
        if (isTold)
        {
            // What was removed is told also when not all of it could be.
            Errno written = argument.Write(SizeOffset, unmapped);
            error = written != Errno.None ? written : error;
        }

        return error;
    }

    private static Errno CutOut(Ioas ioas, IovaRange range)
    {
        Errno error = ioas.Map.CutBehind(range.Last);
        return error == Errno.None && range.Start > 0 ? ioas.Map.CutBehind(range.Start - 1) : error;
    }

    private Errno GetCompat(out Ioas? ioas)
    {
        ioas = null;
        Errno error = GetCompatIoas(out uint id);
        return error != Errno.None ? error : TryGet(id, out ioas) == Errno.None ? Errno.None : Errno.ENODEV;
    }
}
