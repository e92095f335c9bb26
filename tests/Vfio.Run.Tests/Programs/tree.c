/* What programs look for in sysfs and /dev, and what they write there. */
#include "common.h"
#include <sys/sysmacros.h>

static void expect(const char *path, const char *text)
{
	char buffer[4096];
	int file = open(path, O_RDONLY);
	CHECK(file >= 0);
	ssize_t length = read(file, buffer, sizeof buffer - 1);
	CHECK(length >= 0);
	buffer[length] = 0;
	if (strncmp(buffer, text, strlen(text))) {
		printf("%s holds '%s' instead of '%s'\n", path, buffer, text);
		exit(95);
	}
	close(file);
}

static int has(const char *folder, const char *name)
{
	int found = 0;
	DIR *open_ = opendir(folder);
	CHECK(open_);
	for (struct dirent *entry; (entry = readdir(open_));)
		found |= !strcmp(entry->d_name, name);
	closedir(open_);
	return found;
}

static int put(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);
	CHECK(file >= 0);
	ssize_t written = write(file, text, strlen(text));
	int error = errno;
	close(file);
	errno = error;
	return written == (ssize_t)strlen(text) ? 0 : -1;
}

int main(void)
{
	char link[256], absolute[4096];
	struct stat status;
	expect(SYSFS "/vendor", "0x1234\n");
	expect(SYSFS "/device", "0x11e8\n");
	expect(SYSFS "/class", "0x00ff00\n");
	expect(SYSFS "/numa_node", "-1\n");
	expect(SYSFS "/modalias", "pci:v00001234d000011E8");
	expect(SYSFS "/uevent", "DRIVER=vfio-pci\n");
	expect("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n");
	unsigned char config[64];
	int file = open(SYSFS "/config", O_RDONLY);
	CHECK(file >= 0 && pread(file, config, 64, 0) == 64 && config[0] == 0x34 && config[1] == 0x12);
	close(file);
	unsigned long start, end, flags;
	FILE *resources = fopen(SYSFS "/resource", "r");
	CHECK(resources && fscanf(resources, "%lx %lx %lx", &start, &end, &flags) == 3 && end - start == 0xfffff && (flags & 0x200));
	fclose(resources);

	CHECK(has("/sys/bus/pci/devices", BDF));
	CHECK(has("/sys/bus/pci/drivers/vfio-pci", BDF));
	CHECK(has("/sys/bus/pci/drivers/vfio-pci", "bind"));
	CHECK(has("/dev/vfio", "vfio") && has("/dev/vfio", "devices"));
	CHECK(readlink(SYSFS "/driver", link, sizeof link) > 0 && strstr(link, "drivers/vfio-pci"));
	CHECK(realpath(SYSFS "/iommu_group", absolute) && !strncmp(absolute, "/sys/kernel/iommu_groups/", 25));
	strcat(absolute, "/devices");
	CHECK(has(absolute, BDF));
	CHECK(realpath(SYSFS "/iommu_group/devices/" BDF "/../" BDF, absolute) && !strcmp(absolute, "/sys/devices/pci0000:00/" BDF));
	CHECK(!lstat(SYSFS, &status) && S_ISLNK(status.st_mode));
	CHECK(!stat(SYSFS, &status) && S_ISDIR(status.st_mode));
	CHECK(!stat(SYSFS "/vendor", &status) && S_ISREG(status.st_mode) && (status.st_mode & 0777) == 0444);
	CHECK(!stat("/dev/vfio/vfio", &status) && S_ISCHR(status.st_mode) && major(status.st_rdev));
	CHECK(!access("/dev/iommu", R_OK | W_OK) && !access(SYSFS "/driver_override", W_OK));
	FAILS(access(SYSFS "/vendor", W_OK), EACCES);
	FAILS(open("/dev/vfio/4711", O_RDWR), ENOENT);
	FAILS(open(SYSFS "/nothing", O_RDONLY), ENOENT);
	FAILS(open(SYSFS "/vendor/nothing", O_RDONLY), ENOTDIR);
	FAILS(open("/sys/bus/pci/devices/ffff:00:00.0", O_RDONLY), ENOENT);
	FAILS(readlink(SYSFS "/vendor", link, sizeof link), EINVAL);
	CHECK(!access("/sys/kernel", F_OK) && has("/sys", "kernel") && !access("/proc/self/maps", R_OK));

	/* By descriptors of directories, and from other places. */
	int folder = open(SYSFS, O_RDONLY | O_DIRECTORY), vendor;
	CHECK(folder >= 0 && (vendor = openat(folder, "vendor", O_RDONLY)) >= 0 && read(vendor, link, 6) == 6 && !memcmp(link, "0x1234", 6));
	close(vendor);
	CHECK((vendor = openat(folder, "../" BDF "/./device", O_RDONLY)) >= 0);
	close(vendor);
	CHECK(!fstatat(folder, "iommu_group", &status, AT_SYMLINK_NOFOLLOW) && S_ISLNK(status.st_mode));
	CHECK(!chdir("/usr") && (file = open("../dev/vfio/vfio", O_RDWR)) >= 0);
	CHECK(!fstat(file, &status) && S_ISCHR(status.st_mode));
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", file);
	ssize_t length = readlink(self, link, sizeof link);
	CHECK(length == 14 && !memcmp(link, "/dev/vfio/vfio", 14));
	close(file);

	/* Away from vfio-pci and back. */
	CHECK(!put(SYSFS "/driver_override", "vfio-pci\n"));
	expect(SYSFS "/driver_override", "vfio-pci\n");
	CHECK(!put("/sys/bus/pci/drivers/vfio-pci/unbind", BDF));
	FAILS(put("/sys/bus/pci/drivers/vfio-pci/unbind", BDF), ENODEV);
	FAILS(readlink(SYSFS "/driver", link, sizeof link), ENOENT);
	CHECK(!has("/sys/bus/pci/drivers/vfio-pci", BDF) && access(SYSFS "/vfio-dev", F_OK));
	expect(SYSFS "/vendor", "0x1234\n");
	CHECK(!put(SYSFS "/driver_override", "nvme"));
	FAILS(put("/sys/bus/pci/drivers/vfio-pci/bind", BDF), ENODEV);
	CHECK(!put(SYSFS "/driver_override", "\n"));
	CHECK(!put("/sys/bus/pci/drivers/vfio-pci/bind", BDF "\n"));
	CHECK(readlink(SYSFS "/driver", link, sizeof link) > 0);
	struct by_group to = open_by_group(VFIO_TYPE1_IOMMU);
	enable(to.device);
	CHECK(((volatile uint32_t *)map_bar0(to.device))[0] == 0x010000ed);
	printf("done\n");
	return 0;
}
