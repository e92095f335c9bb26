/* Looks behind iommufd by the operations for tests: what is translated, what is pinned, by whom. */
#include "common.h"

struct test_command {
	uint32_t size, op, id, reserved;
	union {
		struct { uint64_t start, length; } reserve;
		struct { uint32_t mock, table, device, flags; } device;
		struct { uint64_t iova, length, address; } map;
		struct { uint64_t length, address; uint32_t pins; } pins;
		struct { uint32_t fd, flags; } access;
		struct { uint32_t flags, item; uint64_t iova, length, address; } pages;
		struct { uint64_t iova, length, address; uint32_t flags; } copy;
		uint32_t word;
	};
	uint32_t last;
};

static int iommu;
static struct test_command done;

static int run(unsigned op, unsigned id, struct test_command command)
{
	command.size = 72;
	command.op = op;
	command.id = id;
	_Alignas(8) char buffer[72] = { 0 };
	memcpy(buffer, &command, sizeof command < 72 ? sizeof command : 72);
	int result = ioctl(iommu, _IO(';', 0xa0), buffer);
	memcpy(&done, buffer, sizeof done < 72 ? sizeof done : 72);
	return result;
}

static int pinned(void *address, uint64_t length, unsigned pins)
{
	return run(4, 0, (struct test_command){ .pins = { length, (uintptr_t)address, pins } });
}

static int translated(unsigned table, uint64_t iova, void *address, uint64_t length)
{
	return run(3, table, (struct test_command){ .map = { iova, length, (uintptr_t)address } });
}

static unsigned space(void)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof alloc };
	CHECK(!ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc));
	return alloc.out_ioas_id;
}

static int map(unsigned ioas, void *memory, uint64_t iova, uint64_t length)
{
	struct iommu_ioas_map command = {
		.size = sizeof command, .flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas, .user_va = (uintptr_t)memory, .length = length, .iova = iova,
	};
	return ioctl(iommu, IOMMU_IOAS_MAP, &command);
}

static int destroy(unsigned id)
{
	struct iommu_destroy command = { .size = sizeof command, .id = id };
	return ioctl(iommu, IOMMU_DESTROY, &command);
}

int main(void)
{
	const uint64_t base = 0x1000000;
	CHECK((iommu = open("/dev/iommu", O_RDWR)) >= 0);
	int file = memfd_create("memory", 0);
	CHECK(!ftruncate(file, 16 * PAGE));
	char *shared = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	char *again = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	char *own = memory_of(16 * PAGE, MAP_PRIVATE);
	CHECK(shared != MAP_FAILED && again != MAP_FAILED);

	unsigned ioas = space();
	CHECK(!run(2, ioas, (struct test_command){ 0 }));
	unsigned mock = done.device.mock, table = done.device.table;
	CHECK(mock && table && done.device.device);
	CHECK(!map(ioas, shared, base, 4 * PAGE) && !map(ioas, own, base + 8 * PAGE, 2 * PAGE));
	CHECK(!translated(table, base, shared, 4 * PAGE) && !translated(table, base + PAGE, again + PAGE, PAGE));
	FAILS(translated(table, base, shared + PAGE, PAGE), EINVAL);
	CHECK(!translated(table, base + 8 * PAGE, own, 2 * PAGE));
	CHECK(!pinned(shared, 4 * PAGE, 1) && !pinned(again, 4 * PAGE, 1) && !pinned(own, 2 * PAGE, 1) && !pinned(own + 2 * PAGE, PAGE, 0));
	FAILS(pinned(shared, 5 * PAGE, 1), EIO);

	/* The same memory by its file pins it a second time. */
	struct iommu_ioas_map_file by_file = {
		.size = sizeof by_file, .flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas, .fd = file, .start = PAGE, .length = PAGE, .iova = base + 16 * PAGE,
	};
	CHECK(!ioctl(iommu, IOMMU_IOAS_MAP_FILE, &by_file));
	CHECK(!translated(table, base + 16 * PAGE, shared + PAGE, PAGE) && !pinned(shared + PAGE, PAGE, 2));

	/* An access copies, pins, and lets go when the memory is unmapped. */
	CHECK(!run(5, ioas, (struct test_command){ .access = { .flags = 1 } }));
	unsigned access_ = done.access.fd;
	strcpy(shared, "of the program");
	CHECK(!run(8, access_, (struct test_command){ .copy = { base, 15, (uintptr_t)own, 0 } }) && !strcmp(own, "of the program"));
	CHECK(!run(7, access_, (struct test_command){ .pages = { 0, 0, base, 2 * PAGE, (uintptr_t)again } }));
	FAILS(run(7, access_, (struct test_command){ .pages = { 0, 0, base, PAGE, (uintptr_t)own } }), EBADE);
	struct iommu_ioas_unmap unmap = { .size = sizeof unmap, .ioas_id = ioas, .iova = base, .length = 4 * PAGE };
	CHECK(!ioctl(iommu, IOMMU_IOAS_UNMAP, &unmap) && unmap.length == 4 * PAGE);
	FAILS(run(6, access_, (struct test_command){ .word = done.pages.item }), ENOENT);
	CHECK(!pinned(shared, PAGE, 0) && !pinned(shared + PAGE, PAGE, 1));
	FAILS(destroy(ioas), EBUSY);
	close(access_);

	/* Pages that are not there, and such that are read only, can't be mapped where a domain is. */
	char *hole = memory_of(4 * PAGE, MAP_PRIVATE);
	CHECK(!munmap(hole + PAGE, PAGE) && !mprotect(hole + 2 * PAGE, PAGE, PROT_READ));
	FAILS(map(ioas, hole, base, 2 * PAGE), EFAULT);
	FAILS(map(ioas, hole + 2 * PAGE, base, PAGE), EFAULT);

	/* Closing the descriptor takes everything along, at once. */
	CHECK(!close(iommu));
	CHECK((iommu = open("/dev/iommu", O_RDWR)) >= 0);
	CHECK(!pinned(shared, 16 * PAGE, 0) && !pinned(own, 16 * PAGE, 0));
	FAILS(destroy(mock), ENOENT);
	printf("done\n");
	return 0;
}
