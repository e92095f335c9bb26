/* What the programs share: checks that end them, and the way to a device by its group or its own node. */
#ifndef COMMON_H
#define COMMON_H
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>

#define BDF "0000:06:0d.0"
#define SYSFS "/sys/bus/pci/devices/" BDF
#define PAGE 4096ul
#define CHECK(what) \
	do { \
		if (!(what)) { \
			printf("%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__, #what, errno, strerror(errno)); \
			fflush(stdout); \
			_exit(99); \
		} \
	} while (0)
#define FAILS(call, error) \
	do { \
		errno = 0; \
		long result_ = (long)(call); \
		if (result_ != -1 || errno != (error)) { \
			printf("%s:%d: %s answered %ld, errno %d; expected %s\n", __FILE__, __LINE__, #call, result_, errno, #error); \
			fflush(stdout); \
			_exit(99); \
		} \
	} while (0)

struct by_group { int container, group, device; };

static inline int open_group_node(void)
{
	char link[256], path[300];
	ssize_t length = readlink(SYSFS "/iommu_group", link, sizeof link - 1);
	CHECK(length > 0);
	link[length] = 0;
	snprintf(path, sizeof path, "/dev/vfio/%s", strrchr(link, '/') + 1);
	return open(path, O_RDWR);
}

static inline struct by_group open_by_group(unsigned type)
{
	struct by_group to;
	CHECK((to.container = open("/dev/vfio/vfio", O_RDWR)) >= 0);
	CHECK(ioctl(to.container, VFIO_GET_API_VERSION) == VFIO_API_VERSION);
	CHECK(ioctl(to.container, VFIO_CHECK_EXTENSION, type));
	CHECK((to.group = open_group_node()) >= 0);
	struct vfio_group_status status = { .argsz = sizeof status };
	CHECK(!ioctl(to.group, VFIO_GROUP_GET_STATUS, &status));
	CHECK(status.flags & VFIO_GROUP_FLAGS_VIABLE);
	CHECK(!ioctl(to.group, VFIO_GROUP_SET_CONTAINER, &to.container));
	CHECK(!ioctl(to.container, VFIO_SET_IOMMU, type));
	CHECK((to.device = ioctl(to.group, VFIO_GROUP_GET_DEVICE_FD, BDF)) >= 0);
	return to;
}

static inline int open_device_node(void)
{
	char path[300] = "";
	DIR *folder = opendir(SYSFS "/vfio-dev");
	CHECK(folder);
	for (struct dirent *entry; (entry = readdir(folder));)
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(path, sizeof path, "/dev/vfio/devices/%s", entry->d_name);
	closedir(folder);
	CHECK(path[0]);
	return open(path, O_RDWR);
}

static inline struct vfio_region_info region_of(int device, unsigned index)
{
	struct vfio_region_info info = { .argsz = sizeof info, .index = index };
	CHECK(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info));
	return info;
}

/* Lets the device decode memory and master the bus. */
static inline void enable(int device)
{
	struct vfio_region_info config = region_of(device, VFIO_PCI_CONFIG_REGION_INDEX);
	uint16_t command;
	CHECK(pread(device, &command, 2, config.offset + 4) == 2);
	command |= 6;
	CHECK(pwrite(device, &command, 2, config.offset + 4) == 2);
}

static inline volatile void *map_bar0(int device)
{
	struct vfio_region_info bar = region_of(device, 0);
	CHECK(bar.flags & VFIO_REGION_INFO_FLAG_MMAP);
	void *mapped = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, bar.offset);
	CHECK(mapped != MAP_FAILED);
	return mapped;
}

/* The edu device: moves bytes between its buffer and an I/O address. */
static inline void edu_move(volatile void *bar, uint64_t source, uint64_t target, uint64_t count, int to_memory)
{
	volatile uint64_t *dma = (volatile uint64_t *)((volatile char *)bar + 0x80);
	dma[0] = source;
	dma[1] = target;
	dma[2] = count;
	dma[3] = 1 | (to_memory ? 2 : 0);
	while (dma[3] & 1)
		;
}

/* Sends a text through the device's buffer from one I/O address to another. */
static inline void edu_copies(volatile void *bar, char *memory, uint64_t iova, const char *text)
{
	memset(memory + PAGE, 0, PAGE);
	strcpy(memory, text);
	edu_move(bar, iova, 0x40000, strlen(text) + 1, 0);
	edu_move(bar, 0x40000, iova + PAGE, strlen(text) + 1, 1);
	CHECK(!strcmp(memory + PAGE, text));
}

static inline char *memory_of(size_t length, int flags)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	return memory;
}

static inline void map_dma(int container, void *memory, uint64_t iova, uint64_t length)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof map, .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory, .iova = iova, .size = length,
	};
	CHECK(!ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
}

static inline void set_eventfd(int device, unsigned index, int event)
{
	char buffer[sizeof(struct vfio_irq_set) + sizeof(int)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)buffer;
	*set = (struct vfio_irq_set){ .argsz = sizeof buffer, .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, .index = index, .count = 1 };
	memcpy(set->data, &event, sizeof event);
	CHECK(!ioctl(device, VFIO_DEVICE_SET_IRQS, set));
}
#endif
