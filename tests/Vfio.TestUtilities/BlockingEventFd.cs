using System.Runtime.InteropServices;
using Vfio.Linux;

namespace Vfio.TestUtilities;

/// <summary>An eventfd as a C program makes it without a flag: whoever reads it waits. And what a peer may do to one that it shares.</summary>
public static partial class BlockingEventFd
{
    /// <summary>Makes one.</summary>
    /// <returns>It; the caller disposes it.</returns>
    public static FileDescriptor Create()
    {
        const int CloseOnExec = 0x80000;
        return new FileDescriptor(EventFdCall(0, CloseOnExec), ownsHandle: true);
    }

    /// <summary>Makes reads and writes of an open file wait or not, for all who share it.</summary>
    /// <param name="descriptor">The file; opened without other flags that can be changed.</param>
    /// <param name="isBlocking">Whether they wait.</param>
    public static void SetMode(FileDescriptor descriptor, bool isBlocking)
    {
        const int SetFlags = 4;
        const int NonBlocking = 0x800;
        if (FcntlCall(descriptor, SetFlags, isBlocking ? 0 : NonBlocking) != 0)
        {
            throw new InvalidOperationException("The mode of the file could not be changed.");
        }
    }

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int FcntlCall(FileDescriptor descriptor, int command, nint flags);

    [LibraryImport("libc", EntryPoint = "eventfd")]
    private static partial int EventFdCall(uint initial, int flags);
}
