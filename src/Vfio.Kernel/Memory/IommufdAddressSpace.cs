using System.Runtime.CompilerServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <summary>An IOAS of <c>/dev/iommu</c>; the kernel chooses addresses.</summary>
/// <remarks>Owns the descriptor.</remarks>
internal sealed class IommufdAddressSpace : KernelAddressSpace
{
    private IommufdAddressSpace(FileDescriptor iommufd, uint id)
    {
        Descriptor = iommufd;
        Id = id;
    }

    public override FileDescriptor Descriptor { get; }

    /// <summary>The number of the IOAS.</summary>
    public uint Id { get; }

    /// <summary>Makes an empty IOAS.</summary>
    /// <param name="iommufd">The context; the address space owns it after success.</param>
    /// <param name="space">The address space.</param>
    public static Errno TryAllocate(FileDescriptor iommufd, out IommufdAddressSpace? space)
    {
        iommu_ioas_alloc argument = new() { size = (uint)Unsafe.SizeOf<iommu_ioas_alloc>() };
        Errno error = iommufd.Ioctl(IommufdUapi.IOMMU_IOAS_ALLOC, ref argument).Error;
        space = error == Errno.None ? new IommufdAddressSpace(iommufd, argument.out_ioas_id) : null;
        return error;
    }

    /// <summary>Takes the IOAS that the kernel made for a group which has the context for its container.</summary>
    /// <param name="iommufd">The context; the address space owns it after success.</param>
    /// <param name="space">The address space.</param>
    public static Errno TryGetCompatible(FileDescriptor iommufd, out IommufdAddressSpace? space)
    {
        iommu_vfio_ioas argument = new() { size = (uint)Unsafe.SizeOf<iommu_vfio_ioas>(), op = (ushort)IommufdUapi.IOMMU_VFIO_IOAS_GET };
        Errno error = iommufd.Ioctl(IommufdUapi.IOMMU_VFIO_IOAS, ref argument).Error;
        space = error == Errno.None ? new IommufdAddressSpace(iommufd, argument.ioas_id) : null;
        return error;
    }

    public override KernelAddressSpace Share() => new IommufdAddressSpace(Descriptor.Duplicate(), Id);

    public override Errno Map(ulong address, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        iommu_ioas_map argument = new()
        {
            size = (uint)Unsafe.SizeOf<iommu_ioas_map>(),
            flags = ((access & DmaAccess.Read) != 0 ? IommufdUapi.IOMMU_IOAS_MAP_READABLE : 0)
                | ((access & DmaAccess.Write) != 0 ? IommufdUapi.IOMMU_IOAS_MAP_WRITEABLE : 0)
                | (iova is null ? 0 : IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA),
            ioas_id = Id,
            user_va = address,
            length = length,
            iova = iova ?? 0,
        };
        Errno error = Descriptor.Ioctl(IommufdUapi.IOMMU_IOAS_MAP, ref argument).Error;
        chosen = argument.iova;
        return error;
    }

    public override Errno Unmap(ulong iova, ulong length)
    {
        iommu_ioas_unmap argument = new() { size = (uint)Unsafe.SizeOf<iommu_ioas_unmap>(), ioas_id = Id, iova = iova, length = length };
        return Descriptor.Ioctl(IommufdUapi.IOMMU_IOAS_UNMAP, ref argument).Error;
    }

    public override void Dispose() => Descriptor.Dispose();
}
