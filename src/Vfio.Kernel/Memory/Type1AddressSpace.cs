using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <summary>The type1 IOMMU of a container. It does not choose addresses; <see cref="Type1Placement"/> does.</summary>
/// <remarks>Owns the container.</remarks>
internal sealed class Type1AddressSpace : KernelAddressSpace
{
    private const int InfoSize = 4096;
    private readonly Type1Placement _placement;

    private Type1AddressSpace(FileDescriptor container, Type1Placement placement)
    {
        Descriptor = container;
        _placement = placement;
    }

    public override FileDescriptor Descriptor { get; }

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
        if (error == Errno.None)
        {
            error = Type1Placement.TryCreate(CollectionsMarshal.AsSpan(ranges), out Type1Placement? placement);
            space = error == Errno.None ? new Type1AddressSpace(container, placement!) : null;
        }

        return error;
    }

    public override KernelAddressSpace Share()
    {
        FileDescriptor container = Descriptor.Duplicate();
        _placement.AddReference();
        return new Type1AddressSpace(container, _placement);
    }

    public override Errno Map(ulong address, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        Errno error = _placement.Place(address, length, access, iova, out chosen);
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
        error = Descriptor.Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, ref argument).Error;
        if (error != Errno.None)
        {
            _placement.Forget(chosen, length);
        }

        return error;
    }

    public override Errno Unmap(ulong iova, ulong length)
    {
        vfio_iommu_type1_dma_unmap argument = new() { argsz = (uint)Unsafe.SizeOf<vfio_iommu_type1_dma_unmap>(), iova = iova, size = length };
        Errno error = Descriptor.Ioctl(VfioUapi.VFIO_IOMMU_UNMAP_DMA, ref argument).Error;
        if (error != Errno.None)
        {
            return error;
        }

        _placement.Forget(iova, length);

        // The kernel answers success with the number of bytes, which is 0 when nothing was mapped there.
        return argument.size == length ? Errno.None : Errno.ENOENT;
    }

    public override void Dispose()
    {
        Descriptor.Dispose();
        _placement.RemoveReference();
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
}
