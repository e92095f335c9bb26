using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// Control of the threads that the calling thread traces (<c>ptrace(2)</c>, x86-64). A tracer is a thread and not a process: all calls for one traced
/// thread must come from the thread that seized it, or, for a thread it created, that seized its creator.
/// </summary>
/// <remarks>ESRCH of any of them means that the thread is not stopped, as after a SIGKILL, or is no tracee of the caller.</remarks>
public static unsafe class ThreadTrace
{
    /// <summary>Attaches to a thread without stopping it.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="options">Its events.</param>
    /// <returns>EPERM when it is traced already, or may not be; ESRCH.</returns>
    public static Errno Seize(int threadId, TraceOptions options) => Call(Interop.TraceSeize, threadId, null, (void*)(nint)(int)options);

    /// <summary>Waits until a thread that the caller traces stops or ends. Children of other threads of the process are not looked at.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="stop">What happened.</param>
    /// <returns>ECHILD when the caller traces no thread any more.</returns>
    public static Errno Wait(out int threadId, out TraceStop stop)
    {
        int status;
        while ((threadId = Interop.Wait(-1, &status, Interop.WaitAllOfThread, null)) < 0)
        {
            if (Interop.LastError != Errno.EINTR)
            {
                stop = default;
                return Interop.LastError;
            }
        }

        stop = new TraceStop(status);
        return Errno.None;
    }

    /// <summary>Lets a stopped thread go on.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="signal">The signal to deliver, or 0; only a signal's stop can deliver one.</param>
    public static Errno Continue(int threadId, int signal) => Call(Interop.TraceContinue, threadId, null, (void*)(nint)signal);

    /// <summary>Leaves a thread in the stop of its group, and waits for the end of that stop.</summary>
    /// <param name="threadId">The thread.</param>
    public static Errno Listen(int threadId) => Call(Interop.TraceListen, threadId, null, null);

    /// <summary>Lets a stopped thread go on untraced.</summary>
    /// <param name="threadId">The thread.</param>
    public static Errno Detach(int threadId) => Call(Interop.TraceDetach, threadId, null, null);

    /// <summary>The message of the event that a thread is stopped at.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="message">The message.</param>
    public static Errno TryGetEventMessage(int threadId, out ulong message)
    {
        ulong value = 0;
        Errno error = Call(Interop.TraceGetEventMessage, threadId, null, &value);
        message = value;
        return error;
    }

    /// <summary>The signal that a thread is stopped for.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="signal">The signal.</param>
    /// <returns>EINVAL in the stop of a group.</returns>
    public static Errno TryGetSignal(int threadId, out TraceSignal signal)
    {
        fixed (TraceSignal* place = &signal)
        {
            return Call(Interop.TraceGetSignal, threadId, null, place);
        }
    }

    /// <summary>Reads the general registers of a stopped thread.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="registers">The registers.</param>
    public static Errno TryGetRegisters(int threadId, out ProcessorRegisters registers)
    {
        // SAFETY: the structure is the kernel's, of fixed size.
        fixed (ProcessorRegisters* place = &registers)
        {
            return Call(Interop.TraceGetRegisters, threadId, null, place);
        }
    }

    /// <summary>Writes the general registers of a stopped thread.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="registers">The registers.</param>
    public static Errno SetRegisters(int threadId, in ProcessorRegisters registers)
    {
        fixed (ProcessorRegisters* place = &registers)
        {
            return Call(Interop.TraceSetRegisters, threadId, null, place);
        }
    }

    /// <summary>Reads the extended state of a stopped thread (x87, SSE, AVX, …) in the processor's standard format (Intel SDM 1 §13.4).</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="state">Room for it.</param>
    /// <param name="length">How much was filled, in bytes.</param>
    public static Errno TryGetExtendedState(int threadId, Span<byte> state, out int length)
    {
        // SAFETY: the kernel writes no more than the vector's length, which is the span's.
        fixed (byte* place = state)
        {
            Interop.IoVector vector = new() { Base = place, Length = (nuint)state.Length };
            Errno error = Call(Interop.TraceGetRegisterSet, threadId, (void*)Interop.RegisterSetExtended, &vector);
            length = (int)vector.Length;
            return error;
        }
    }

    /// <summary>Writes the extended state of a stopped thread.</summary>
    /// <param name="threadId">The thread.</param>
    /// <param name="state">As it was read, with the same length.</param>
    /// <returns>EINVAL when its header is none.</returns>
    public static Errno SetExtendedState(int threadId, ReadOnlySpan<byte> state)
    {
        fixed (byte* place = state)
        {
            Interop.IoVector vector = new() { Base = place, Length = (nuint)state.Length };
            return Call(Interop.TraceSetRegisterSet, threadId, (void*)Interop.RegisterSetExtended, &vector);
        }
    }

    private static Errno Call(int request, int threadId, void* address, void* data) => Interop.ToErrno((int)Interop.Trace(request, threadId, address, data));
}
