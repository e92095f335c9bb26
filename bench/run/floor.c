/*
 * The floors under `vfio run`, without anything of ours: a system call that a supervisor of one thread answers by seccomp's notification, and a load from
 * behind the end of a mapped file that a tracer skips. Prints nanoseconds, the median of batches.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include "batches.h"

#define MUST(what) do { if (!(what)) { perror(#what); exit(1); } } while (0)
#define TRAPPED 0x5a00
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

static void trapped_call(void *unused)
{
	(void)unused;
	syscall(SYS_ioctl, -1, TRAPPED, 0);
}

static void load(void *address)
{
	/* Two bytes of machine code, which the tracer skips. */
	__asm__ volatile("movl (%0), %%eax" : : "D"(address) : "eax", "memory");
}

static void notification(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TRAPPED, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	int numbers[2];
	MUST(!pipe(numbers));
	pid_t child = fork();
	if (!child) {
		MUST(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
		MUST(listener >= 0);
		MUST(write(numbers[1], &listener, sizeof listener) == sizeof listener);
		usleep(200000);
		batches("notification", trapped_call, NULL);
		exit(0);
	}
	int number;
	MUST(read(numbers[0], &number, sizeof number) == sizeof number);
	int process = syscall(SYS_pidfd_open, child, 0);
	int listener = syscall(SYS_pidfd_getfd, process, number, 0);
	MUST(listener >= 0);
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	for (;;) {
		struct seccomp_notif call = { 0 };
		struct seccomp_notif_resp answer = { 0 };
		if (waitpid(child, NULL, WNOHANG) == child)
			break;
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
			if (errno == ENOENT || errno == EINTR)
				continue;
			break;
		}
		answer.id = call.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
	waitpid(child, NULL, 0);
}

static void stop(void)
{
	pid_t child = fork();
	if (!child) {
		int file = memfd_create("empty", 0);
		void *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		MUST(mapped != MAP_FAILED);
		raise(SIGSTOP);
		batches("stop", load, mapped);
		exit(0);
	}
	int status;
	MUST(!ptrace(PTRACE_SEIZE, child, 0, 0));
	kill(child, SIGCONT);
	while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status)) {
		if (WSTOPSIG(status) == SIGBUS) {
			siginfo_t information;
			struct user_regs_struct registers;
			ptrace(PTRACE_GETSIGINFO, child, 0, &information);
			ptrace(PTRACE_GETREGS, child, 0, &registers);
			registers.rip += 2;
			registers.rax = 0;
			ptrace(PTRACE_SETREGS, child, 0, &registers);
			ptrace(PTRACE_CONT, child, 0, 0);
		} else {
			ptrace(PTRACE_CONT, child, 0, status >> 16 ? 0 : WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status));
		}
	}
}

int main(void)
{
	setbuf(stdout, NULL);
	notification();
	stop();
	return 0;
}
