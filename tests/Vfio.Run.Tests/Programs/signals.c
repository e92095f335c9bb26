/* Signals in the middle of accesses, and those that are ignored. */
#include "common.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
	(void)signal;
	ticks++;
}

static void own_bus(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	printf("own fault at %p\n", info->si_addr == NULL ? NULL : (void *)1);
	fflush(stdout);
	_exit(info->si_code == BUS_ADRERR ? 0 : 96);
}

int main(void)
{
	struct by_group to = open_by_group(VFIO_TYPE1v2_IOMMU);
	enable(to.device);
	volatile uint64_t *bar = map_bar0(to.device);
	signal(SIGALRM, tick);
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
	setitimer(ITIMER_REAL, &often, NULL);
	for (uint64_t i = 0; ticks < 200; i++) {
		bar[0] = i;
		CHECK(bar[0] == i);
		__sync_fetch_and_add(&bar[1], 1);
	}
	setitimer(ITIMER_REAL, &never, NULL);

	/* A child's end is ignored by default, and so wakes nobody. */
	int poller = epoll_create1(0);
	struct epoll_event ready;
	pid_t child = fork();
	if (!child) {
		usleep(50000);
		_exit(0);
	}
	CHECK(epoll_wait(poller, &ready, 1, 300) == 0);
	CHECK(waitpid(child, NULL, 0) == child);

	/* Job control. */
	child = fork();
	if (!child)
		for (;;)
			bar[2]++;
	int status;
	CHECK(!kill(child, SIGSTOP) && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	uint64_t then = bar[2];
	usleep(20000);
	CHECK(bar[2] == then);
	CHECK(!kill(child, SIGCONT) && waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
	usleep(50000);
	CHECK(bar[2] != then);
	CHECK(!kill(child, SIGTERM) && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

	/* A fault that is not ours stays the program's. */
	struct sigaction action = { .sa_sigaction = own_bus, .sa_flags = SA_SIGINFO };
	sigaction(SIGBUS, &action, NULL);
	int file = memfd_create("own", 0);
	volatile char *beyond = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
	return beyond[0] + 1;
}
