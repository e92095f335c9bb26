using Vfio.Abi;

namespace Vfio.Differential;

/// <content>The usual ways to a device; their calls are compared as all others.</content>
internal sealed partial class Session
{
    /// <summary>A group in a container with a type set, and its device.</summary>
    public (int Container, int Group, int Device) OpenType1(Target target = Target.A, uint type = VfioUapi.VFIO_TYPE1v2_IOMMU)
    {
        (int container, int group) = OpenContainer(target, type);
        return (container, group, DeviceOf(group, target));
    }

    /// <summary>A group in a container with a type set.</summary>
    public (int Container, int Group) OpenContainer(Target target = Target.A, uint type = VfioUapi.VFIO_TYPE1v2_IOMMU)
    {
        int container = Container();
        int group = Group(target);
        Descriptor(group, VfioUapi.VFIO_GROUP_SET_CONTAINER, container);
        Value(container, VfioUapi.VFIO_SET_IOMMU, type);
        return (container, group);
    }

    /// <summary>A device's own node bound to a new iommufd.</summary>
    public (int Iommufd, int Device, uint Id) OpenBound(Target target = Target.A)
    {
        int iommufd = Iommufd();
        int device = Cdev(target);
        return (iommufd, device, Bind(device, iommufd));
    }

    /// <summary>VFIO_DEVICE_BIND_IOMMUFD: the device's id.</summary>
    public uint Bind(int device, int iommufd) => Ioctl(device, VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, new vfio_device_bind_iommufd { iommufd = iommufd }).Argument.out_devid;

    /// <summary>IOMMU_IOAS_ALLOC: the address space's id.</summary>
    public uint NewIoas(int iommufd) => Ioctl(iommufd, IommufdUapi.IOMMU_IOAS_ALLOC, default(iommu_ioas_alloc)).Argument.out_ioas_id;

    /// <summary>VFIO_DEVICE_ATTACH_IOMMUFD_PT: the page table's id.</summary>
    public uint Attach(int device, uint id) => Ioctl(device, VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, new vfio_device_attach_iommufd_pt { pt_id = id }).Argument.pt_id;

    /// <summary>VFIO_DEVICE_DETACH_IOMMUFD_PT.</summary>
    public void Detach(int device) => Ioctl(device, VfioUapi.VFIO_DEVICE_DETACH_IOMMUFD_PT, default(vfio_device_detach_iommufd_pt));

    /// <summary>IOMMU_DESTROY.</summary>
    public void Destroy(int iommufd, uint id) => Ioctl(iommufd, IommufdUapi.IOMMU_DESTROY, new iommu_destroy { id = id });

    /// <summary>IOMMU_HWPT_ALLOC: the page table's id.</summary>
    public uint NewPageTable(int iommufd, uint device, uint parent, uint flags = 0)
        => Ioctl(iommufd, IommufdUapi.IOMMU_HWPT_ALLOC, new iommu_hwpt_alloc { dev_id = device, pt_id = parent, flags = flags }).Argument.out_hwpt_id;

    /// <summary>IOMMU_IOAS_MAP at an address.</summary>
    public void MapFixed(int iommufd, uint ioas, ulong address, ulong length, ulong iova, uint flags = IommufdUapi.IOMMU_IOAS_MAP_READABLE | IommufdUapi.IOMMU_IOAS_MAP_WRITEABLE)
        => Ioctl(
            iommufd,
            IommufdUapi.IOMMU_IOAS_MAP,
            new iommu_ioas_map { flags = flags | IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA, ioas_id = ioas, user_va = address, length = length, iova = iova });

    /// <summary>IOMMU_IOAS_MAP at an address of the kernel's choice.</summary>
    public ulong MapAnywhere(int iommufd, uint ioas, ulong address, ulong length, uint flags = IommufdUapi.IOMMU_IOAS_MAP_READABLE | IommufdUapi.IOMMU_IOAS_MAP_WRITEABLE)
        => Ioctl(iommufd, IommufdUapi.IOMMU_IOAS_MAP, new iommu_ioas_map { flags = flags, ioas_id = ioas, user_va = address, length = length }).Argument.iova;

    /// <summary>IOMMU_IOAS_UNMAP.</summary>
    public void Unmap(int iommufd, uint ioas, ulong iova, ulong length)
        => Ioctl(iommufd, IommufdUapi.IOMMU_IOAS_UNMAP, new iommu_ioas_unmap { ioas_id = ioas, iova = iova, length = length });

    /// <summary>VFIO_IOMMU_MAP_DMA.</summary>
    public void MapDma(int container, ulong address, ulong iova, ulong size, uint flags = VfioUapi.VFIO_DMA_MAP_FLAG_READ | VfioUapi.VFIO_DMA_MAP_FLAG_WRITE)
        => Ioctl(container, VfioUapi.VFIO_IOMMU_MAP_DMA, new vfio_iommu_type1_dma_map { flags = flags, vaddr = address, iova = iova, size = size });

    /// <summary>VFIO_IOMMU_UNMAP_DMA.</summary>
    public void UnmapDma(int container, ulong iova, ulong size, uint flags = 0)
        => Ioctl(container, VfioUapi.VFIO_IOMMU_UNMAP_DMA, new vfio_iommu_type1_dma_unmap { flags = flags, iova = iova, size = size });

    /// <summary>VFIO_GROUP_GET_STATUS.</summary>
    public void Status(int group) => Ioctl(group, VfioUapi.VFIO_GROUP_GET_STATUS, default(vfio_group_status));
}
