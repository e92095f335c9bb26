using System.Runtime.InteropServices;
using Vfio.Linux;

namespace Vfio.TestUtilities;

/// <summary>An eventfd as a C program makes it without a flag: whoever reads it waits.</summary>
public static partial class BlockingEventFd
{
    /// <summary>Makes one.</summary>
    /// <returns>It; the caller disposes it.</returns>
    public static FileDescriptor Create()
    {
        const int CloseOnExec = 0x80000;
        return new FileDescriptor(EventFdCall(0, CloseOnExec), ownsHandle: true);
    }

    [LibraryImport("libc", EntryPoint = "eventfd")]
    private static partial int EventFdCall(uint initial, int flags);
}
