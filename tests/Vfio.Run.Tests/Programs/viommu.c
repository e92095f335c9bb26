/* A virtual IOMMU: its memory, mapped by the iommufd, and the queue of its faults. */
#include "operations.h"

static int is_readable(int fd)
{
	struct pollfd poll_ = { .fd = fd, .events = POLLIN };
	return poll(&poll_, 1, 0) == 1;
}

int main(void)
{
	uint32_t device[3];
	CHECK((iommu = open("/dev/iommu", O_RDWR)) >= 0);
	struct iommu_ioas_alloc alloc = { .size = sizeof alloc };
	CHECK(!ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc));
	CHECK(!test(2, alloc.out_ioas_id, NULL, 0, device, 3));
	struct iommu_hwpt_alloc below = { .size = sizeof below, .flags = IOMMU_HWPT_ALLOC_NEST_PARENT, .dev_id = device[2], .pt_id = alloc.out_ioas_id };
	CHECK(!ioctl(iommu, IOMMU_HWPT_ALLOC, &below));

	/* Only what is offered can be mapped, as a whole; what is mapped keeps the virtual IOMMU. */
	struct { uint32_t in, out; uint64_t offset, length; } data = { .in = 0xbeef };
	struct iommu_viommu_alloc viommu = {
		.size = sizeof viommu, .type = 0xdeadbeef, .dev_id = device[2], .hwpt_id = below.out_hwpt_id, .data_len = sizeof data, .data_uptr = (uintptr_t)&data,
	};
	CHECK(!ioctl(iommu, IOMMU_VIOMMU_ALLOC, &viommu) && data.out == 0xbeef && data.length == 2 * PAGE);
	FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, iommu, data.offset), ENXIO);
	FAILS((long)mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, iommu, data.offset + PAGE), ENXIO);
	FAILS((long)mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, iommu, data.offset), EINVAL);
	uint32_t *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, iommu, data.offset);
	CHECK(memory != MAP_FAILED && *memory == 0xbeef);
	memory[1] = 7;
	uint32_t *again = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, iommu, data.offset);
	CHECK(again != MAP_FAILED && again[1] == 7 && !munmap(again, 2 * PAGE));
	struct iommu_destroy destroy = { .size = sizeof destroy, .id = viommu.out_viommu_id };
	FAILS(ioctl(iommu, IOMMU_DESTROY, &destroy), EBUSY);
	CHECK(!munmap(memory, 2 * PAGE) && !ioctl(iommu, IOMMU_DESTROY, &destroy));

	/* Faults are read one after the other at the same place, and the descriptor is readable only while there are some. */
	struct iommu_fault_alloc faults = { .size = sizeof faults };
	CHECK(!ioctl(iommu, IOMMU_FAULT_QUEUE_ALLOC, &faults));
	uint32_t words[2] = { 0 };
	struct iommu_hwpt_alloc nested = {
		.size = sizeof nested, .flags = IOMMU_HWPT_FAULT_ID_VALID, .dev_id = device[2], .pt_id = below.out_hwpt_id, .data_type = 0xdead,
		.data_len = sizeof words, .data_uptr = (uintptr_t)words, .fault_id = faults.out_fault_id,
	};
	CHECK(!ioctl(iommu, IOMMU_HWPT_ALLOC, &nested));
	CHECK(!test(10, device[0], &nested.out_hwpt_id, 4, NULL, 0));
	int queue = (int)faults.out_fault_fd;
	struct { uint32_t device, pasid, group, permissions; uint64_t address; } fault = { device[2], 1, 2, 3, 0xdeadbeaf };
	struct iommu_hwpt_pgfault seen;
	for (int turn = 0; turn < 3; turn++) {
		CHECK(!is_readable(queue) && read(queue, &seen, sizeof seen) == 0);
		CHECK(!test(15, 0, &fault, sizeof fault, NULL, 0) && is_readable(queue));
		CHECK(read(queue, &seen, sizeof seen) == sizeof seen && seen.addr == 0xdeadbeaf && seen.pasid == 1 && !is_readable(queue));
		struct iommu_hwpt_page_response response = { .cookie = seen.cookie, .code = IOMMUFD_PAGE_RESP_SUCCESS };
		CHECK(write(queue, &response, sizeof response) == sizeof response);
		FAILS(write(queue, &response, sizeof response), EINVAL);
	}
	printf("done\n");
	return 0;
}
