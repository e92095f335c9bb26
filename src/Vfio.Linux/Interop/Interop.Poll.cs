using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const int EpollCloseOnExec = OpenCloseOnExec;
    internal const int EpollAdd = 1;
    internal const int EpollDelete = 2;

    [LibraryImport(LibC, EntryPoint = "poll", SetLastError = true)]
    internal static unsafe partial int PollDescriptors(PollEntry* entries, nuint count, int timeoutMilliseconds);

    [LibraryImport(LibC, EntryPoint = "epoll_create1", SetLastError = true)]
    internal static partial int EpollCreate(int flags);

    [LibraryImport(LibC, EntryPoint = "epoll_ctl", SetLastError = true)]
    internal static unsafe partial int EpollControl(FileDescriptor epoll, int operation, FileDescriptor fd, void* epollEvent);

    [LibraryImport(LibC, EntryPoint = "epoll_wait", SetLastError = true)]
    internal static unsafe partial int EpollWait(FileDescriptor epoll, void* events, int maximum, int timeoutMilliseconds);

    /// <summary><c>struct pollfd</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct PollEntry
    {
        internal int Descriptor;
        internal short Events;
        internal short Ready;
    }
}
