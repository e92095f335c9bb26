/* What a program under `vfio run` waits for: an ioctl that the core answers, and a load from a register that it has mapped. Prints nanoseconds. */
#include "../../tests/Vfio.Run.Tests/Programs/common.h"
#include "batches.h"

static int s_container;

static void call(void *unused)
{
	(void)unused;
	ioctl(s_container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU);
}

static void load(void *address)
{
	__asm__ volatile("movl (%0), %%eax" : : "D"(address) : "eax", "memory");
}

int main(void)
{
	struct by_group by = open_by_group(VFIO_TYPE1_IOMMU);
	s_container = by.container;
	enable(by.device);
	batches("ioctl", call, NULL);
	batches("register", load, (void *)map_bar0(by.device));
	return 0;
}
