using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const int MapShared = 1;
    internal const int MapPrivate = 2;
    internal const int MapAnonymous = 0x20;
    internal const int MapNoReserve = 0x4000;
    internal const int AdviceDontNeed = 4;
    internal const int AdviceHugePage = 14;
    internal const int AdviceDontDump = 16;
    internal const int AdvicePopulateRead = 22;
    internal const int AdvicePopulateWrite = 23;

    [LibraryImport(LibC, EntryPoint = "mmap64", SetLastError = true)]
    internal static partial nint Map(nint address, nuint length, int protection, int flags, FileDescriptor fd, long offset);

    [LibraryImport(LibC, EntryPoint = "mmap64", SetLastError = true)]
    internal static partial nint MapWithoutFile(nint address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport(LibC, EntryPoint = "munmap", SetLastError = true)]
    internal static partial int Unmap(nint address, nuint length);

    [LibraryImport(LibC, EntryPoint = "madvise", SetLastError = true)]
    internal static partial int Advise(nint address, nuint length, int advice);

    [LibraryImport(LibC, EntryPoint = "process_vm_readv", SetLastError = true)]
    internal static unsafe partial nint ProcessVmRead(
        int processId, IoVector* local, nuint localCount, IoVector* remote, nuint remoteCount, nuint flags);

    [LibraryImport(LibC, EntryPoint = "process_vm_writev", SetLastError = true)]
    internal static unsafe partial nint ProcessVmWrite(
        int processId, IoVector* local, nuint localCount, IoVector* remote, nuint remoteCount, nuint flags);

    /// <summary><c>struct iovec</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct IoVector
    {
        internal void* Base;
        internal nuint Length;
    }
}
