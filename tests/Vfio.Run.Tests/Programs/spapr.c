/* The way of POWER machines, as the kernel's documentation shows it: a window of DMA addresses, and errors that freeze a device. */
#include "common.h"

static int errors(int container, unsigned op)
{
	struct vfio_eeh_pe_op operation = { .argsz = sizeof operation, .op = op };
	return ioctl(container, VFIO_EEH_PE_OP, &operation);
}

int main(void)
{
	CHECK(ioctl(open("/dev/vfio/vfio", O_RDWR), VFIO_CHECK_EXTENSION, VFIO_SPAPR_TCE_v2_IOMMU) == 1);
	struct by_group to = open_by_group(VFIO_SPAPR_TCE_IOMMU);
	struct vfio_iommu_spapr_tce_info info = { .argsz = sizeof info };
	CHECK(!ioctl(to.container, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info) && info.dma32_window_size);
	char *memory = memory_of(1 << 20, MAP_PRIVATE);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof map, .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory, .iova = info.dma32_window_start, .size = 1 << 20,
	};
	FAILS(ioctl(to.container, VFIO_IOMMU_MAP_DMA, &map), EPERM);
	CHECK(!ioctl(to.container, VFIO_IOMMU_ENABLE));
	CHECK(!ioctl(to.container, VFIO_IOMMU_MAP_DMA, &map));
	struct vfio_device_info device = { .argsz = sizeof device };
	CHECK(!ioctl(to.device, VFIO_DEVICE_GET_INFO, &device) && device.num_regions == 9);
	enable(to.device);
	volatile void *bar = map_bar0(to.device);
	CHECK(*(volatile uint32_t *)bar == 0x010000ed);

	CHECK(ioctl(to.container, VFIO_CHECK_EXTENSION, VFIO_EEH) == 1);
	CHECK(!errors(to.container, VFIO_EEH_PE_ENABLE));
	CHECK(errors(to.container, VFIO_EEH_PE_GET_STATE) == VFIO_EEH_PE_STATE_NORMAL);
	CHECK(!errors(to.container, VFIO_EEH_PE_RESET_HOT));
	CHECK(errors(to.container, VFIO_EEH_PE_GET_STATE) == VFIO_EEH_PE_STATE_RESET);
	CHECK(!errors(to.container, VFIO_EEH_PE_RESET_DEACTIVATE));
	CHECK(!errors(to.container, VFIO_EEH_PE_CONFIGURE));
	CHECK(errors(to.container, VFIO_EEH_PE_GET_STATE) == VFIO_EEH_PE_STATE_NORMAL);
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof unmap, .iova = map.iova, .size = 1 << 20 };
	CHECK(!ioctl(to.container, VFIO_IOMMU_UNMAP_DMA, &unmap));
	CHECK(!ioctl(to.container, VFIO_IOMMU_DISABLE));
	printf("done\n");
	return 0;
}
