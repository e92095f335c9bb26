/*
 * Memory that is a file's: devices reach the file itself, as they reach pages that are pinned, whatever the program does with its mapping. Memory that cannot be had by
 * somebody else is copied, and what is unmapped is not there any more. With an argument, files that could shrink are taken as well.
 */
#include "common.h"

static char *file_memory(int file, size_t length, off_t offset)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
	CHECK(memory != MAP_FAILED);
	return memory;
}

static int file_of(const char *name, unsigned flags, size_t length)
{
	int file = memfd_create(name, flags);
	CHECK(file >= 0 && !ftruncate(file, length));
	return file;
}

/* Whether the device still writes to a page that the program has unmapped. */
static int is_reached_when_unmapped(volatile uint32_t *bar, char *memory, uint64_t iova, int file)
{
	char text[16] = "", *again;
	strcpy(memory, "before");
	edu_move(bar, iova, 0x40000, 7, 0);
	CHECK(!munmap(memory, 2 * PAGE));
	edu_move(bar, 0x40000, iova + PAGE, 7, 1);
	again = file_memory(file, 2 * PAGE, 0);
	strncpy(text, again + PAGE, sizeof text - 1);
	CHECK(!munmap(again, 2 * PAGE));
	return !strcmp(text, "before");
}

int main(int count, char **arguments)
{
	int trusts = count > 1 && !strcmp(arguments[1], "trusted");
	struct by_group to = open_by_group(VFIO_TYPE1_IOMMU);
	enable(to.device);
	volatile uint32_t *bar = map_bar0(to.device);

	/* Two mappings, one behind the other, that show a file in its order, and a third that does not. */
	int file = file_of("sealable", MFD_CLOEXEC | MFD_ALLOW_SEALING, 64 * PAGE);
	char *place = memory_of(32 * PAGE, MAP_PRIVATE);
	CHECK(mmap(place, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 16 * PAGE) == place);
	CHECK(mmap(place + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 24 * PAGE) == place + 8 * PAGE);
	CHECK(!mprotect(place + 4 * PAGE, PAGE, PROT_READ) && !mprotect(place + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	CHECK(mmap(place + 16 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == place + 16 * PAGE);
	map_dma(to.container, place, 0x100000, 16 * PAGE);
	map_dma(to.container, place + 16 * PAGE, 0x200000, 16 * PAGE);
	edu_copies(bar, place, 0x100000, "from the start");
	edu_copies(bar, place + 7 * PAGE, 0x100000 + 7 * PAGE, "over the border");
	edu_copies(bar, place + 14 * PAGE, 0x100000 + 14 * PAGE, "to the end");
	edu_copies(bar, place + 16 * PAGE, 0x200000, "of the file");
	edu_copies(bar, place + 30 * PAGE, 0x200000 + 14 * PAGE, "of nobody");
	char text[16];
	CHECK(pread(file, text, sizeof text, 17 * PAGE) == sizeof text && !strcmp(text, "from the start"));

	/* What devices reach themselves cannot be taken from under them. */
	int sealed = fcntl(file, F_GET_SEALS);
	CHECK(sealed & F_SEAL_SHRINK || trusts);
	int own = file_of("own", MFD_CLOEXEC | MFD_ALLOW_SEALING, 2 * PAGE);
	char *memory = file_memory(own, 2 * PAGE, 0);
	map_dma(to.container, memory, 0x300000, 2 * PAGE);
	CHECK(is_reached_when_unmapped(bar, memory, 0x300000, own));

	/* One that nobody can seal any more. */
	int open = file_of("open", MFD_CLOEXEC, 2 * PAGE);
	memory = file_memory(open, 2 * PAGE, 0);
	map_dma(to.container, memory, 0x400000, 2 * PAGE);
	CHECK(is_reached_when_unmapped(bar, memory, 0x400000, open) == trusts);

	/* Mapped again at another place of the file: what counts is what was there when it was mapped for the device. */
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof unmap, .iova = 0x300000, .size = 2 * PAGE };
	CHECK(!ioctl(to.container, VFIO_IOMMU_UNMAP_DMA, &unmap) && unmap.size == 2 * PAGE);
	CHECK(mmap(memory, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 40 * PAGE) == memory);
	map_dma(to.container, memory, 0x300000, 2 * PAGE);
	edu_copies(bar, memory, 0x300000, "elsewhere");
	CHECK(pread(file, text, sizeof text, 41 * PAGE) == sizeof text && !strcmp(text, "elsewhere"));

	/* For reading only, also by a descriptor that allows no more. */
	char *read_only = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, file, 16 * PAGE);
	CHECK(read_only != MAP_FAILED);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof map, .flags = VFIO_DMA_MAP_FLAG_READ, .vaddr = (uintptr_t)read_only, .iova = 0x500000, .size = 2 * PAGE,
	};
	CHECK(!ioctl(to.container, VFIO_IOMMU_MAP_DMA, &map));
	strcpy(place, "read");
	edu_move(bar, 0x500000, 0x40000, 5, 0);
	edu_move(bar, 0x40000, 0x500000 + PAGE, 5, 1);
	CHECK(strcmp(read_only + PAGE, "read"));
	edu_move(bar, 0x40000, 0x100000 + PAGE, 5, 1);
	CHECK(!strcmp(place + PAGE, "read"));
	printf("done\n");
	return 0;
}
