using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// What one thread waits for and another gives: a semaphore of the C library. One system call on each side, and no looking around
/// before the wait as the runtime's semaphores do, which takes the processor from whoever has work.
/// </summary>
internal sealed class WakeUp : SafeHandle
{
    /// <summary>Makes one that nobody has given anything to.</summary>
    /// <exception cref="OutOfMemoryException">There is no memory.</exception>
    public unsafe WakeUp()
        : base(0, ownsHandle: true)
    {
        // SAFETY: zeroed memory of a semaphore's size, initialized before anything else sees it.
        void* memory = NativeMemory.AllocZeroed(Interop.SemaphoreSize);
        _ = Interop.SemaphoreInitialize(memory, 0, 0);
        SetHandle((nint)memory);
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Lets one wait end, this one or a later one.</summary>
    public void Give() => _ = Interop.SemaphorePost(this);

    /// <summary>Waits.</summary>
    public void Wait()
    {
        while (Interop.SemaphoreWait(this) < 0 && Interop.LastError == Errno.EINTR)
        {
        }
    }

    /// <summary>Waits for a limited time, by the system's clock: when that is set meanwhile, for longer or shorter.</summary>
    /// <param name="limit">The time, not negative.</param>
    /// <returns>False after the time.</returns>
    public bool Wait(TimeSpan limit)
    {
        const long NanosecondsInSecond = 1_000_000_000;
        _ = Interop.GetTime(Interop.ClockRealTime, out Interop.TimeSpecification until);
        until.Nanoseconds += limit.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick;
        until.Seconds += (limit.Ticks / TimeSpan.TicksPerSecond) + (until.Nanoseconds / NanosecondsInSecond);
        until.Nanoseconds %= NanosecondsInSecond;
        while (true)
        {
            if (Interop.SemaphoreWait(this, in until) >= 0)
            {
                return true;
            }

            if (Interop.LastError != Errno.EINTR)
            {
                return false;
            }
        }
    }

    /// <inheritdoc/>
    protected override unsafe bool ReleaseHandle()
    {
        _ = Interop.SemaphoreDestroy(handle);

        // SAFETY: allocated in the constructor, and no call uses it any more: each holds a reference to this handle.
        NativeMemory.Free((void*)handle);
        return true;
    }
}
