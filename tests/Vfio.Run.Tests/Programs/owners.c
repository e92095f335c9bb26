/* Whose memory it is that devices have in place: charged to a process, taken over by another, kept after its process has ended. */
#include "operations.h"
#include <sys/syscall.h>
#include <linux/capability.h>

static unsigned ioas;

static int copy(uint32_t access, uint64_t iova, void *buffer, uint64_t length, uint32_t write)
{
	struct { uint64_t iova, length, address; uint32_t flags; } fields = { iova, length, (uintptr_t)buffer, write };
	return test(8, access, &fields, sizeof fields, NULL, 0);
}

static int map(void *memory, uint64_t iova, uint64_t length)
{
	struct iommu_ioas_map command = {
		.size = sizeof command, .flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas, .user_va = (uintptr_t)memory, .length = length, .iova = iova,
	};
	return ioctl(iommu, IOMMU_IOAS_MAP, &command);
}

static int unmap(uint64_t iova, uint64_t length)
{
	struct iommu_ioas_unmap command = { .size = sizeof command, .ioas_id = ioas, .iova = iova, .length = length };
	return ioctl(iommu, IOMMU_IOAS_UNMAP, &command);
}

static long status(const char *process, const char *name)
{
	char path[64], line[256];
	long value = -1;
	snprintf(path, sizeof path, "/proc/%s/status", process);
	FILE *file = fopen(path, "r");
	CHECK(file);
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name), NULL, 10);
	fclose(file);
	return value;
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2];
	CHECK(!syscall(SYS_capget, &header, sets));
	sets[0].effective &= ~(1u << CAP_IPC_LOCK);
	CHECK(!syscall(SYS_capset, &header, sets));
}

static int child(void (*body)(void))
{
	int result;
	fflush(stdout);
	pid_t id = fork();
	if (!id) {
		body();
		fflush(stdout);
		_exit(0);
	}
	CHECK(id > 0 && waitpid(id, &result, 0) == id);
	return WIFEXITED(result) ? WEXITSTATUS(result) : 99;
}

static char parent[16];

static void take_over(void)
{
	struct iommu_ioas_change_process change = { .size = sizeof change };
	CHECK(status(parent, "VmPin:") == 8 && status(parent, "VmLck:") == 8);
	CHECK(status("self", "VmPin:") == 0);
	CHECK(!ioctl(iommu, IOMMU_IOAS_CHANGE_PROCESS, &change));
	CHECK(status(parent, "VmPin:") == 0 && status(parent, "VmLck:") == 0);
	CHECK(status("self", "VmPin:") == 8 && status("self", "VmLck:") == 8);
}

static char *shared, *own;
static const uint64_t base = 0x1000000;

static void map_and_go(void)
{
	strcpy(own, "of a child that is gone");
	CHECK(!map(shared, base, 4 * PAGE) && !map(own, base + 8 * PAGE, 2 * PAGE));
}

int main(void)
{
	uint32_t out[4];
	CHECK((iommu = open("/dev/iommu", O_RDWR)) >= 0);
	drop_ipc_lock();
	struct iommu_option by_process = { .size = sizeof by_process, .option_id = IOMMU_OPTION_RLIMIT_MODE, .op = IOMMU_OPTION_OP_SET, .val64 = 1 };
	CHECK(!ioctl(iommu, IOMMU_OPTION, &by_process));
	struct iommu_ioas_alloc alloc = { .size = sizeof alloc };
	CHECK(!ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc));
	ioas = alloc.out_ioas_id;
	CHECK(!test(2, ioas, NULL, 0, out, 3));

	/* What is in place is in the process's counters, and moves to who takes the descriptor over. */
	shared = memory_of(4 * PAGE, MAP_SHARED);
	own = memory_of(2 * PAGE, MAP_PRIVATE);
	CHECK(status("self", "VmPin:") == 0 && !map(own, base, 2 * PAGE) && status("self", "VmPin:") == 8 && status("self", "VmLck:") == 8);
	struct iommu_ioas_change_process change = { .size = sizeof change };
	FAILS(ioctl(iommu, IOMMU_IOAS_CHANGE_PROCESS, &change), EINVAL);
	CHECK(!unmap(base, 2 * PAGE) && status("self", "VmPin:") == 0 && status("self", "VmLck:") == 0);
	int file = memfd_create("memory", 0);
	CHECK(!ftruncate(file, 2 * PAGE));
	struct iommu_ioas_map_file by_file = {
		.size = sizeof by_file, .flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas, .fd = file, .start = 0, .length = 2 * PAGE, .iova = base,
	};
	CHECK(!ioctl(iommu, IOMMU_IOAS_MAP_FILE, &by_file));
	snprintf(parent, sizeof parent, "%d", getpid());
	CHECK(child(take_over) == 0);
	CHECK(!unmap(base, 2 * PAGE));

	/* What a child mapped is there after its end: what it shared is the same memory still, what was its own is as it left it. */
	strcpy(shared, "before");
	CHECK(child(map_and_go) == 0);
	struct { uint32_t fd, flags; } access_fields = { 0, 0 };
	CHECK(!test(5, ioas, &access_fields, sizeof access_fields, out, 1));
	int reader = (int)out[0];
	char text[64] = "", written[] = "by a device";
	CHECK(!copy(reader, base, text, 7, 0) && !strcmp(text, "before"));
	strcpy(shared, "after its end");
	CHECK(!copy(reader, base, text, 14, 0) && !strcmp(text, "after its end"));
	CHECK(!copy(reader, base + PAGE - 4, written, sizeof written, 1) && !memcmp(shared + PAGE - 4, written, sizeof written));
	CHECK(!copy(reader, base + 8 * PAGE, text, 24, 0) && !strcmp(text, "of a child that is gone"));
	CHECK(!copy(reader, base + 9 * PAGE - 4, written, sizeof written, 1) && !copy(reader, base + 9 * PAGE - 4, text, sizeof written, 0) && !strcmp(text, written));
	CHECK(own[0] == 0);

	/* Without a domain nothing was in place, and nothing is there. */
	struct iommu_ioas_alloc bare = { .size = sizeof bare };
	CHECK(!ioctl(iommu, IOMMU_IOAS_ALLOC, &bare));
	ioas = bare.out_ioas_id;
	CHECK(child(map_and_go) == 0);
	CHECK(!test(5, ioas, &access_fields, sizeof access_fields, out, 1));
	FAILS(copy((int)out[0], base, text, 7, 0), EFAULT);
	printf("done\n");
	return 0;
}
