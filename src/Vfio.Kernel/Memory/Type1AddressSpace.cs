using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <summary>The type1 IOMMU of a container. It does not choose addresses, so an address space of the core's does, within the ranges that the kernel names.</summary>
/// <remarks>Owns the container.</remarks>
internal sealed class Type1AddressSpace : KernelAddressSpace
{
    private const int InfoSize = 4096;
    private static readonly ProcessUserMemory s_here = new(Environment.ProcessId);
    private readonly FileDescriptor _container;
    private readonly IommufdContext _context;
    private readonly Ioas _placement;

    private Type1AddressSpace(FileDescriptor container, IommufdContext context, Ioas placement)
    {
        _container = container;
        _context = context;
        _placement = placement;
    }

    /// <summary>Makes a container, which has a group already, an IOMMU of type1v2.</summary>
    /// <param name="container">The container; the address space owns it after success.</param>
    /// <param name="space">The address space.</param>
    public static Errno TrySet(FileDescriptor container, out Type1AddressSpace? space)
    {
        space = null;
        Errno error = container.Ioctl(VfioUapi.VFIO_SET_IOMMU, (nint)VfioUapi.VFIO_TYPE1v2_IOMMU).Error;
        if (error != Errno.None)
        {
            return error;
        }

        error = GetRanges(container, out List<IovaRange> ranges);
        IommufdContext context = new(new IommufdLimits());
        Ioas? placement = null;
        if (error == Errno.None)
        {
            error = context.AllocateIoas(out placement);
        }

        if (error == Errno.None)
        {
            error = placement!.SetAllowedRanges(CollectionsMarshal.AsSpan(ranges));
        }

        if (error != Errno.None)
        {
            context.Dispose();
            return error;
        }

        space = new Type1AddressSpace(container, context, placement!);
        return Errno.None;
    }

    public override Errno Map(ulong address, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        UserMemorySource source = new(s_here, address, length, writable: true);
        chosen = iova ?? 0;
        Errno error = iova is { } wanted
            ? _placement.MapFixed(wanted, length, source, 0, access)
            : _placement.MapAnywhere(0, length, source, 0, access, out chosen);
        source.RemoveReference();
        if (error != Errno.None)
        {
            return error;
        }

        vfio_iommu_type1_dma_map argument = new()
        {
            argsz = (uint)Unsafe.SizeOf<vfio_iommu_type1_dma_map>(),
            flags = ((access & DmaAccess.Read) != 0 ? VfioUapi.VFIO_DMA_MAP_FLAG_READ : 0)
                | ((access & DmaAccess.Write) != 0 ? VfioUapi.VFIO_DMA_MAP_FLAG_WRITE : 0),
            vaddr = address,
            iova = chosen,
            size = length,
        };
        error = _container.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, ref argument).Error;
        if (error != Errno.None)
        {
            Forget(chosen, length);
        }

        return error;
    }

    public override Errno Unmap(ulong iova, ulong length)
    {
        vfio_iommu_type1_dma_unmap argument = new() { argsz = (uint)Unsafe.SizeOf<vfio_iommu_type1_dma_unmap>(), iova = iova, size = length };
        Errno error = _container.Ioctl(VfioUapi.VFIO_IOMMU_UNMAP_DMA, ref argument).Error;
        if (error != Errno.None)
        {
            return error;
        }

        Forget(iova, length);

        // The kernel answers success with the number of bytes, which is 0 when nothing was mapped there.
        return argument.size == length ? Errno.None : Errno.ENOENT;
    }

    public override void Dispose()
    {
        _container.Dispose();
        _context.Dispose();
    }

    private static Errno GetRanges(FileDescriptor container, out List<IovaRange> ranges)
    {
        const int FixedSize = 24;
        const int HeaderSize = 16;
        const int RangeSize = 16;
        ranges = [];
        byte[] structure = new byte[InfoSize];
        MemoryMarshal.Write(structure, new vfio_iommu_type1_info { argsz = InfoSize });
        Errno error = container.Ioctl(VfioUapi.VFIO_IOMMU_GET_INFO, structure.AsSpan()).Error;
        vfio_iommu_type1_info info = MemoryMarshal.Read<vfio_iommu_type1_info>(structure);
        if (error != Errno.None || (info.flags & VfioUapi.VFIO_IOMMU_INFO_CAPS) == 0)
        {
            return error;
        }

        for (uint at = info.cap_offset, previous = FixedSize - 1; at > previous && at <= InfoSize - HeaderSize;)
        {
            ReadOnlySpan<byte> capability = structure.AsSpan((int)at);
            if (BinaryPrimitives.ReadUInt16LittleEndian(capability) == VfioUapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
            {
                uint count = BinaryPrimitives.ReadUInt32LittleEndian(capability[8..]);
                for (int i = 0; i < count && HeaderSize + ((i + 1) * RangeSize) <= capability.Length; i++)
                {
                    vfio_iova_range range = MemoryMarshal.Read<vfio_iova_range>(capability[(HeaderSize + (i * RangeSize))..]);
                    if (IovaRange.TryCreateInclusive(range.start, range.end, out IovaRange usable))
                    {
                        ranges.Add(usable);
                    }
                }
            }

            previous = at;
            at = BinaryPrimitives.ReadUInt32LittleEndian(capability[4..]);
        }

        return Errno.None;
    }

    private void Forget(ulong iova, ulong length)
    {
        if (IovaRange.TryCreate(iova, length, out IovaRange range))
        {
            _ = _placement.Unmap(range, out _);
        }
    }
}
