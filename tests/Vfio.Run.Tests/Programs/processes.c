/* Threads, forks and executed programs: all of them know the same files, and the last one closes them. */
#include "common.h"
#include <pthread.h>
#include <sys/socket.h>

static int device;
static volatile uint64_t *bar;

static void *work(void *argument)
{
	uintptr_t me = (uintptr_t)argument;
	for (uint64_t i = 0; i < 300; i++) {
		struct vfio_device_info info = { .argsz = sizeof info };
		CHECK(!ioctl(device, VFIO_DEVICE_GET_INFO, &info) && info.num_regions == 9);
		bar[me] = i << 32 | me;
		CHECK(bar[me] == (i << 32 | me));
	}
	return NULL;
}

static int send_descriptor(int socket, int descriptor)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
	return sendmsg(socket, &message, 0) == 1;
}

static int receive_descriptor(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	int descriptor = -1;
	CHECK(recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message));
	memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
	return descriptor;
}

int main(int count, char **arguments)
{
	if (count == 2) {
		/* The executed one: the number that it was told is the device's. */
		struct vfio_device_info info = { .argsz = sizeof info };
		CHECK(!ioctl(atoi(arguments[1]), VFIO_DEVICE_GET_INFO, &info) && info.num_regions == 9);
		return 42;
	}

	struct by_group to = open_by_group(VFIO_TYPE1v2_IOMMU);
	device = to.device;
	enable(device);
	bar = map_bar0(device);
	pthread_t threads[4];
	for (uintptr_t i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_join(threads[i], NULL));

	/* A child has the descriptors and the mapping; its end closes nothing that the parent has. */
	pid_t child = fork();
	CHECK(child >= 0);
	if (!child) {
		bar[9] = 77;
		_exit(bar[9] == 77 ? 3 : 4);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
	CHECK(bar[9] == 77);

	/* An executed program has what was not to be closed. */
	child = fork();
	if (!child) {
		char number[16];
		int kept = dup(device);
		CHECK(kept >= 0);
		snprintf(number, sizeof number, "%d", kept);
		execl("/proc/self/exe", "processes", number, NULL);
		_exit(5);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);

	/* A descriptor that another process sent. */
	int pair[2];
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	child = fork();
	if (!child) {
		close(device);
		int received = receive_descriptor(pair[1]);
		struct vfio_device_info info = { .argsz = sizeof info };
		_exit(!ioctl(received, VFIO_DEVICE_GET_INFO, &info) && info.num_regions == 9 ? 6 : 7);
	}
	CHECK(send_descriptor(pair[0], device));
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 6);

	/* Duplicates are the same device; it stays open until the last of them goes. */
	int second = fcntl(device, F_DUPFD_CLOEXEC, 3), third = dup(second);
	CHECK(second >= 0 && third >= 0 && second != third);
	close(device);
	close(second);
	struct vfio_device_info info = { .argsz = sizeof info };
	CHECK(!ioctl(third, VFIO_DEVICE_GET_INFO, &info));
	FAILS(ioctl(device, VFIO_DEVICE_GET_INFO, &info), EBADF);
	munmap((void *)bar, PAGE);
	FAILS(ioctl(to.group, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
	close(third);
	CHECK(!ioctl(to.group, VFIO_GROUP_UNSET_CONTAINER));

	/* A process that is killed closes what it had. */
	child = fork();
	if (!child) {
		close(to.group);
		pause();
	}
	close(to.group);
	usleep(20000);
	CHECK(!kill(child, SIGKILL) && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK((to.group = open_group_node()) >= 0);
	printf("done\n");
	return 0;
}
