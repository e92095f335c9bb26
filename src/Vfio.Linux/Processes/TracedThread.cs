using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>The registers of a stopped thread, x86-64 (<c>user_regs_struct</c>).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ThreadRegisters
{
    public ulong R15;
    public ulong R14;
    public ulong R13;
    public ulong R12;
    public ulong Rbp;
    public ulong Rbx;
    public ulong R11;
    public ulong R10;
    public ulong R9;
    public ulong R8;
    public ulong Rax;
    public ulong Rcx;
    public ulong Rdx;
    public ulong Rsi;
    public ulong Rdi;

    /// <summary>The number of the system call that it is in; all ones outside of one.</summary>
    public ulong CallNumber;
    public ulong Rip;
    public ulong Cs;
    public ulong Flags;
    public ulong Rsp;
    public ulong Ss;
    public ulong FsBase;
    public ulong GsBase;
    public ulong Ds;
    public ulong Es;
    public ulong Fs;
    public ulong Gs;
}

/// <summary>How a thread is told to the tracer to have stopped.</summary>
internal enum TraceEvent
{
    None = 0,
    Fork = 1,
    VFork = 2,
    Clone = 3,
    Exec = 4,
    Exit = 6,
    Filter = 7,
    Stop = 128,
}

/// <summary>ptrace(2). All calls are made by the thread that seized; they answer ESRCH when the traced one is gone.</summary>
internal static unsafe class ThreadTracing
{
    /// <summary>A stop at a system call, as it is told from a trap.</summary>
    public const int SystemCallStop = 5 | 0x80;

    // SYSGOOD, FORK, VFORK, CLONE, EXEC, EXIT, SECCOMP, EXITKILL.
    private const nint Options = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x40 | 0x80 | 0x100000;

    /// <summary>Begins to trace a thread and all that it will make. They end with this process.</summary>
    public static Errno TrySeize(int threadId) => Ask(Interop.TraceSeize, threadId, 0, Options);

    /// <summary>Waits for the next stop of any thread that the calling one traces.</summary>
    /// <returns>The thread; 0 when none is left.</returns>
    public static int Wait(out int status) => Wait(-1, out status);

    /// <summary>Waits for the next stop of one thread.</summary>
    /// <returns>The thread; 0 when it is gone.</returns>
    public static int Wait(int threadId, out int status)
    {
        while (true)
        {
            int stopped = Interop.WaitProcess(threadId, out status, Interop.WaitAll | Interop.WaitNoThread);
            if (stopped > 0)
            {
                return stopped;
            }

            if (Interop.LastError != Errno.EINTR)
            {
                return 0;
            }
        }
    }

    public static Errno Resume(int threadId, int signal = 0) => Ask(Interop.TraceContinue, threadId, 0, signal);

    public static Errno ResumeToSystemCall(int threadId) => Ask(Interop.TraceSystemCall, threadId, 0, 0);

    /// <summary>Leaves it stopped, as the job control that stopped it wants.</summary>
    public static Errno Listen(int threadId) => Ask(Interop.TraceListen, threadId, 0, 0);

    public static Errno Detach(int threadId) => Ask(Interop.TraceDetach, threadId, 0, 0);

    public static Errno Read(int threadId, out ThreadRegisters registers)
    {
        fixed (ThreadRegisters* pointer = &registers)
        {
            return Ask(Interop.TraceGetRegisters, threadId, 0, (nint)pointer);
        }
    }

    public static Errno Write(int threadId, in ThreadRegisters registers)
    {
        fixed (ThreadRegisters* pointer = &registers)
        {
            return Ask(Interop.TraceSetRegisters, threadId, 0, (nint)pointer);
        }
    }

    /// <summary>Writes the general registers, the instruction pointer and the flags, as far as they have changed. Segments and their bases stay as they are.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="was">What <see cref="Read"/> gave.</param>
    /// <param name="registers">What shall be.</param>
    /// <remarks>The fewer of them, the less the kernel has to check: to step over a store takes half the time of <see cref="Write"/>.</remarks>
    public static Errno WriteChanges(int threadId, in ThreadRegisters was, in ThreadRegisters registers)
    {
        fixed (ThreadRegisters* before = &was, after = &registers)
        {
            const int Pointer = 16;
            const int Flags = 18;
            const int Stack = 19;
            ulong* old = (ulong*)before;
            ulong* now = (ulong*)after;
            if (new ReadOnlySpan<ulong>(old, Pointer).SequenceEqual(new ReadOnlySpan<ulong>(now, Pointer)) && old[Flags] == now[Flags] && old[Stack] == now[Stack])
            {
                return Ask(Interop.TracePokeUser, threadId, Pointer * sizeof(ulong), (nint)now[Pointer]);
            }

            // The set may be written from its beginning up to anywhere.
            int count = (old[Stack] != now[Stack] ? Stack : old[Flags] != now[Flags] ? Flags : Pointer) + 1;
            Interop.IoVector vector = new() { Base = after, Length = (nuint)count * sizeof(ulong) };
            return Ask(Interop.TraceSetRegisterSet, threadId, Interop.RegisterSetGeneral, (nint)(&vector));
        }
    }

    /// <summary>Reads the extended state (x87, SSE, AVX, …) in the processor's standard format (Intel SDM 1 §13.4).</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="state">Room for it.</param>
    /// <param name="length">How many bytes were filled.</param>
    public static Errno ReadExtended(int threadId, Span<byte> state, out int length)
    {
        // SAFETY: the kernel writes no more than the vector's length, which is the span's.
        fixed (byte* place = state)
        {
            Interop.IoVector vector = new() { Base = place, Length = (nuint)state.Length };
            Errno error = Ask(Interop.TraceGetRegisterSet, threadId, Interop.RegisterSetExtended, (nint)(&vector));
            length = (int)vector.Length;
            return error;
        }
    }

    /// <summary>Writes the extended state, with the length that it was read with.</summary>
    public static Errno WriteExtended(int threadId, ReadOnlySpan<byte> state)
    {
        fixed (byte* place = state)
        {
            Interop.IoVector vector = new() { Base = place, Length = (nuint)state.Length };
            return Ask(Interop.TraceSetRegisterSet, threadId, Interop.RegisterSetExtended, (nint)(&vector));
        }
    }

    public static Errno ReadSignal(int threadId, out Interop.SignalInformation information)
    {
        fixed (Interop.SignalInformation* pointer = &information)
        {
            return Ask(Interop.TraceGetSignal, threadId, 0, (nint)pointer);
        }
    }

    private static Errno Ask(nint request, int threadId, nint address, nint data)
        => Interop.Trace(request, threadId, address, data) < 0 ? Interop.LastError : Errno.None;
}
