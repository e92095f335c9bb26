/* Calls that wait, for what other calls must do: all of them are served. */
#include "common.h"
#include <pthread.h>

#define WAITS 4

static int waiting;

static void *unbind(void *index)
{
	char name[] = "0000:06:00.0";
	name[9] = '0' + (char)(intptr_t)index;
	int file = open("/sys/bus/pci/drivers/vfio-pci/unbind", O_WRONLY);
	CHECK(file >= 0);
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	CHECK(write(file, name, sizeof name - 1) == sizeof name - 1);
	__atomic_sub_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	close(file);
	return NULL;
}

int main(void)
{
	pthread_t threads[WAITS];
	int devices[WAITS];
	int iommu = open("/dev/iommu", O_RDWR);
	CHECK(iommu >= 0);
	for (int i = 0; i < WAITS; i++) {
		char path[64];
		snprintf(path, sizeof path, "/dev/vfio/devices/vfio%d", i);
		CHECK((devices[i] = open(path, O_RDWR)) >= 0);
		struct vfio_device_bind_iommufd bind = { .argsz = sizeof bind, .iommufd = iommu };
		CHECK(!ioctl(devices[i], VFIO_DEVICE_BIND_IOMMUFD, &bind));
	}

	/* Each removal waits until its device is closed. */
	for (intptr_t i = 0; i < WAITS; i++)
		CHECK(!pthread_create(&threads[i], NULL, unbind, (void *)i));
	for (int i = 0; i < 1000; i++) {
		struct vfio_device_info info = { .argsz = sizeof info };
		CHECK(!ioctl(devices[i % WAITS], VFIO_DEVICE_GET_INFO, &info));
	}
	usleep(200000);
	CHECK(__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) == WAITS);
	for (int i = 0; i < WAITS; i++)
		CHECK(!close(devices[i]));
	for (int i = 0; i < WAITS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(access("/sys/bus/pci/drivers/vfio-pci/0000:06:00.0", F_OK) == -1);
	printf("done\n");
	return 0;
}
