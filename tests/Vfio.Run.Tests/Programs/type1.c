/* The way of groups and containers, as the kernel's documentation shows it: memory for DMA, regions, interrupts, reset. */
#include "common.h"

int main(void)
{
	struct by_group to = open_by_group(VFIO_TYPE1_IOMMU);
	struct vfio_iommu_type1_info iommu = { .argsz = sizeof iommu };
	CHECK(!ioctl(to.container, VFIO_IOMMU_GET_INFO, &iommu));
	CHECK(iommu.flags & VFIO_IOMMU_INFO_PGSIZES);
	char *memory = memory_of(1 << 20, MAP_PRIVATE);
	map_dma(to.container, memory, 0, 1 << 20);

	struct vfio_device_info device = { .argsz = sizeof device };
	CHECK(!ioctl(to.device, VFIO_DEVICE_GET_INFO, &device));
	CHECK(device.flags & VFIO_DEVICE_FLAGS_PCI);
	for (unsigned i = 0; i < device.num_regions; i++) {
		struct vfio_region_info region = { .argsz = sizeof region, .index = i };
		CHECK(!ioctl(to.device, VFIO_DEVICE_GET_REGION_INFO, &region) || errno == EINVAL);
	}
	for (unsigned i = 0; i < device.num_irqs; i++) {
		struct vfio_irq_info irq = { .argsz = sizeof irq, .index = i };
		CHECK(!ioctl(to.device, VFIO_DEVICE_GET_IRQ_INFO, &irq) || errno == EINVAL);
	}
	CHECK(!ioctl(to.device, VFIO_DEVICE_RESET));
	enable(to.device);

	int event = eventfd(0, EFD_CLOEXEC);
	set_eventfd(to.device, VFIO_PCI_MSI_IRQ_INDEX, event);
	volatile uint32_t *bar = map_bar0(to.device);
	CHECK(bar[0] == 0x010000ed);
	bar[1] = 0x12345678;
	CHECK(bar[1] == ~0x12345678u);
	bar[0x20 / 4] = 0x80;
	bar[0x08 / 4] = 5;
	struct pollfd waits = { .fd = event, .events = POLLIN };
	uint64_t count;
	CHECK(poll(&waits, 1, 5000) == 1 && read(event, &count, 8) == 8 && count == 1);
	CHECK(bar[0x08 / 4] == 120 && bar[0x24 / 4] == 1);
	bar[0x64 / 4] = 1;
	CHECK(bar[0x24 / 4] == 0);
	edu_copies(bar, memory, 0, "by type1");

	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof unmap, .iova = 0, .size = 1 << 20 };
	CHECK(!ioctl(to.container, VFIO_IOMMU_UNMAP_DMA, &unmap) && unmap.size == 1 << 20);
	CHECK(!munmap((void *)bar, 0x100000) && !close(to.device) && !close(to.group) && !close(to.container));

	/* Closed by now: the group can be opened again. */
	CHECK((to.group = open_group_node()) >= 0);
	FAILS(open_group_node(), EBUSY);
	printf("done\n");
	return 0;
}
