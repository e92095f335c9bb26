/* Calls in the wrong order and on the wrong files. */
#include "common.h"

int main(void)
{
	int container = open("/dev/vfio/vfio", O_RDWR), group = open_group_node();
	CHECK(container >= 0 && group >= 0);
	FAILS(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), EINVAL);
	FAILS(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, BDF), EINVAL);
	FAILS(ioctl(group, VFIO_GROUP_SET_CONTAINER, NULL), EFAULT);
	int other = eventfd(0, 0);
	FAILS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &other), EBADFD);
	FAILS(ioctl(other, VFIO_GET_API_VERSION), ENOTTY);
	FAILS(ioctl(container, 0x3b00), EINVAL);
	CHECK(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	CHECK(!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU));
	FAILS(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:00.0"), ENODEV);
	int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, BDF);
	CHECK(device >= 0);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0x200000), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, device, 0), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, (uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, container, 0), ENODEV);
	FAILS(lseek(device, 0, SEEK_SET), ESPIPE);
	FAILS(ftruncate(device, PAGE), EINVAL);
	void *volatile nowhere = NULL;
	FAILS(pread(device, nowhere, 4, (uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40), EFAULT);
	printf("done\n");
	return 0;
}
