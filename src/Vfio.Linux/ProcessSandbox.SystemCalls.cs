using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

public static partial class ProcessSandbox
{
    private const ushort LoadWord = 0x20;
    private const ushort JumpIfEqual = 0x15;
    private const ushort JumpIfGreaterOrEqual = 0x35;
    private const ushort JumpIfAnyBit = 0x45;
    private const ushort Return = 0x06;
    private const uint Allowed = 0x7FFF_0000;
    private const uint Fails = 0x0005_0000;
    private const uint EndsProcess = 0x8000_0000;

    /// <summary>Offsets in <c>struct seccomp_data</c>: the call's number, the architecture, the low halves of the first and second argument.</summary>
    private const uint Number = 0;
    private const uint Architecture = 4;
    private const uint FirstArgument = 16;
    private const uint SecondArgument = 24;
    private const uint X64 = 0xC000_003E;

    /// <summary>From here on the numbers are those of the x32 interface.</summary>
    private const uint X32Bit = 0x4000_0000;
    private const uint Ioctl = 16;
    private const uint PushInput = 0x5412;
    private const uint LinuxConsole = 0x541C;
    private const uint Socket = 41;
    private const uint SocketPair = 53;
    private const uint Clone = 56;
    private const uint CloneThread = 0x10000;
    private const uint SignalThread = 234;
    private const uint Limits = 302;
    private const uint Clone3 = 435;

    /// <summary>
    /// What the .NET runtime, the C library and the libraries of this project call, of x86-64. Not in it, and so refused, is whatever reaches other
    /// processes or the system: execve, ptrace, process_vm_*, pidfd_*, kill, mount, bpf, perf_event_open, io_uring_*, userfaultfd, modules, keys,
    /// name spaces, set*id, clocks.
    /// </summary>
    private static readonly uint[] s_allowed =
    [
        0, 1, 3, 17, 18, 19, 20, 295, 296, 327, // read, write, close, pread64, pwrite64, readv, writev, preadv, pwritev, preadv2
        2, 257, 4, 5, 6, 262, 332, 8, // open, openat, stat, fstat, lstat, newfstatat, statx, lseek
        21, 269, 439, 89, 267, 79, 78, 217, // access, faccessat, faccessat2, readlink, readlinkat, getcwd, getdents, getdents64
        32, 33, 292, 72, 73, 74, 75, 77, 285, 221, // dup, dup2, dup3, fcntl, flock, fsync, fdatasync, ftruncate, fallocate, fadvise64
        82, 264, 316, 83, 258, 84, 87, 263, 90, 91, 268, // rename, renameat, renameat2, mkdir, mkdirat, rmdir, unlink, unlinkat, chmod, fchmod, fchmodat
        137, 138, // statfs, fstatfs
        9, 10, 11, 12, 25, 26, 27, 28, 149, 150, 239, 319, 324, // mmap, mprotect, munmap, brk, mremap, msync, mincore, madvise, mlock, munlock, get_mempolicy, memfd_create, membarrier
        7, 271, 23, 270, 232, 281, 441, 233, 291, 290, 22, 293, // poll, ppoll, select, pselect6, epoll_wait, epoll_pwait, epoll_pwait2, epoll_ctl, epoll_create1, eventfd2, pipe, pipe2
        42, 43, 288, 44, 45, 46, 47, 48, 49, 50, 51, 52, 54, 55, // connect, accept, accept4, sendto, recvfrom, sendmsg, recvmsg, shutdown, bind, listen, getsockname, getpeername, setsockopt, getsockopt
        13, 14, 15, 127, 128, 131, // rt_sigaction, rt_sigprocmask, rt_sigreturn, rt_sigpending, rt_sigtimedwait, sigaltstack
        202, 273, 274, 334, 218, 219, 60, 231, 24, // futex, set_robust_list, get_robust_list, rseq, set_tid_address, restart_syscall, exit, exit_group, sched_yield
        142, 143, 144, 145, 146, 147, 203, 204, 309, // sched_setparam, sched_getparam, sched_setscheduler, sched_getscheduler, sched_get_priority_max, sched_get_priority_min, sched_setaffinity, sched_getaffinity, getcpu
        35, 96, 228, 229, 230, // nanosleep, gettimeofday, clock_gettime, clock_getres, clock_nanosleep
        39, 63, 97, 98, 99, 100, 102, 104, 107, 108, 110, 111, 121, 124, 186, 318, 157, 158, // getpid, uname, getrlimit, getrusage, sysinfo, times, get*id, getppid, getpgrp, getpgid, getsid, gettid, getrandom, prctl, arch_prctl
    ];

    /// <summary>
    /// Puts a filter of system calls on all threads of the process. What is not allowed answers EPERM; sockets are of Unix only, clone
    /// makes threads only, and signals and limits are for this process. A call by another interface than that of x86-64's 64-bit programs ends the process.
    /// </summary>
    /// <returns>
    /// EOPNOTSUPP on other processors than x86-64, EACCES before <see cref="TryForbidNewPrivileges"/>, ESRCH when a thread has another filter already,
    /// EINVAL or ENOSYS for a kernel without seccomp.
    /// </returns>
    public static unsafe Errno TryFilterSystemCalls()
    {
        if (RuntimeInformation.ProcessArchitecture != System.Runtime.InteropServices.Architecture.X64)
        {
            return Errno.EOPNOTSUPP;
        }

        Interop.FilterInstruction[] program = [.. Compose()];
        fixed (Interop.FilterInstruction* first = program)
        {
            Interop.FilterProgram filter = new() { Length = (ushort)program.Length, Instructions = first };

            // SAFETY: the kernel copies the program, which is fixed meanwhile.
            nint result = Interop.SystemCall(
                Interop.CallSeccomp, Interop.SeccompSetModeFilter, (void*)Interop.SeccompSynchronizeThreads, (nint)(&filter), 0);
            return result < 0 ? Interop.LastError : result > 0 ? Errno.ESRCH : Errno.None;
        }
    }

    private static List<Interop.FilterInstruction> Compose()
    {
        const byte Here = 0;
        List<Interop.FilterInstruction> program =
        [
            new(LoadWord, Here, Here, Architecture),
            new(JumpIfEqual, 1, Here, X64),
            new(Return, Here, Here, EndsProcess),
            new(LoadWord, Here, Here, Number),
            new(JumpIfGreaterOrEqual, Here, 1, X32Bit),
            new(Return, Here, Here, Fails | (uint)Errno.EPERM),
        ];
        foreach (uint number in s_allowed)
        {
            program.Add(new(JumpIfEqual, Here, 1, number));
            program.Add(new(Return, Here, Here, Allowed));
        }

        // The C library asks clone3 first, whose flags are in memory that can change meanwhile; told that there is none, it takes clone.
        program.Add(new(JumpIfEqual, Here, 1, Clone3));
        program.Add(new(Return, Here, Here, Fails | (uint)Errno.ENOSYS));
        Check(Clone, FirstArgument, new(JumpIfAnyBit, Here, 1, CloneThread));
        Check(SignalThread, FirstArgument, new(JumpIfEqual, Here, 1, (uint)Environment.ProcessId));
        Check(Limits, FirstArgument, new(JumpIfEqual, Here, 1, 0));
        Check(Socket, FirstArgument, new(JumpIfEqual, Here, 1, Interop.AddressFamilyUnix));
        Check(SocketPair, FirstArgument, new(JumpIfEqual, Here, 1, Interop.AddressFamilyUnix));

        // Any but those that type into somebody's terminal.
        program.Add(new(JumpIfEqual, Here, 4, Ioctl));
        program.Add(new(LoadWord, Here, Here, SecondArgument));
        program.Add(new(JumpIfEqual, 2, Here, PushInput));
        program.Add(new(JumpIfEqual, 1, Here, LinuxConsole));
        program.Add(new(Return, Here, Here, Allowed));
        program.Add(new(Return, Here, Here, Fails | (uint)Errno.EPERM));
        return program;

        // A call whose argument decides. The number is not loaded again when it does not fit: then the answer is no.
        void Check(uint number, uint argument, Interop.FilterInstruction test)
        {
            program.Add(new(JumpIfEqual, Here, 4, number));
            program.Add(new(LoadWord, Here, Here, argument));
            program.Add(test);
            program.Add(new(Return, Here, Here, Allowed));
            program.Add(new(Return, Here, Here, Fails | (uint)Errno.EPERM));
        }
    }
}
