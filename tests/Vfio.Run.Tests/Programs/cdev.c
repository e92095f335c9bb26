/* The way of device nodes and iommufd, as the kernel's documentation shows it. */
#include "common.h"

int main(void)
{
	int device = open_device_node(), iommu = open("/dev/iommu", O_RDWR);
	CHECK(device >= 0 && iommu >= 0);
	struct vfio_device_info info = { .argsz = sizeof info };
	FAILS(ioctl(device, VFIO_DEVICE_GET_INFO, &info), EINVAL);
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof bind, .iommufd = iommu };
	CHECK(!ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	struct iommu_ioas_alloc space = { .size = sizeof space };
	CHECK(!ioctl(iommu, IOMMU_IOAS_ALLOC, &space));
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof attach, .pt_id = space.out_ioas_id };
	CHECK(!ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	char *memory = memory_of(1 << 20, MAP_SHARED);
	struct iommu_ioas_map map = {
		.size = sizeof map, .flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = space.out_ioas_id, .user_va = (uintptr_t)memory, .length = 1 << 20, .iova = 0x100000,
	};
	CHECK(!ioctl(iommu, IOMMU_IOAS_MAP, &map));
	CHECK(!ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	enable(device);
	volatile void *bar = map_bar0(device);
	edu_copies(bar, memory, 0x100000, "by iommufd");

	/* A device's registers are no memory for iommufd. */
	map.user_va = (uintptr_t)bar;
	map.length = PAGE;
	map.iova = 0x800000;
	FAILS(ioctl(iommu, IOMMU_IOAS_MAP, &map), EFAULT);
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof detach };
	CHECK(!ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	struct iommu_destroy destroy = { .size = sizeof destroy, .id = space.out_ioas_id };
	CHECK(!ioctl(iommu, IOMMU_DESTROY, &destroy));
	CHECK(!close(device) && !close(iommu));
	printf("done\n");
	return 0;
}
