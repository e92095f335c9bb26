using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    /// <summary>Room for <c>sem_t</c>: 32 bytes with glibc and musl on 64-bit systems.</summary>
    internal const int SemaphoreSize = 32;

    internal const int ClockRealTime = 0;

    [LibraryImport(LibC, EntryPoint = "sem_init", SetLastError = true)]
    internal static unsafe partial int SemaphoreInitialize(void* semaphore, int shared, uint value);

    [LibraryImport(LibC, EntryPoint = "sem_destroy")]
    internal static partial int SemaphoreDestroy(nint semaphore);

    [LibraryImport(LibC, EntryPoint = "sem_post", SetLastError = true)]
    internal static partial int SemaphorePost(WakeUp semaphore);

    [LibraryImport(LibC, EntryPoint = "sem_wait", SetLastError = true)]
    internal static partial int SemaphoreWait(WakeUp semaphore);

    [LibraryImport(LibC, EntryPoint = "sem_timedwait", SetLastError = true)]
    internal static partial int SemaphoreWait(WakeUp semaphore, in TimeSpecification until);

    [LibraryImport(LibC, EntryPoint = "clock_gettime", SetLastError = true)]
    internal static partial int GetTime(int clock, out TimeSpecification now);

    /// <summary><c>struct timespec</c> of a 64-bit system.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct TimeSpecification
    {
        internal long Seconds;
        internal long Nanoseconds;
    }
}
