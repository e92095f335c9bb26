using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const int OpenReadWrite = 2;
    internal const int OpenNoControllingTerminal = 0x100;
    internal const int TerminalSetNow = 0;

    /// <summary>More than <c>struct termios</c> has in any C library of a 64-bit Linux (glibc: 60, musl: 60).</summary>
    internal const int TermiosSize = 256;

    [LibraryImport(LibC, EntryPoint = "posix_openpt", SetLastError = true)]
    internal static partial int OpenPseudoTerminal(int flags);

    [LibraryImport(LibC, EntryPoint = "grantpt", SetLastError = true)]
    internal static partial int GrantPseudoTerminal(FileDescriptor master);

    [LibraryImport(LibC, EntryPoint = "unlockpt", SetLastError = true)]
    internal static partial int UnlockPseudoTerminal(FileDescriptor master);

    [LibraryImport(LibC, EntryPoint = "ptsname_r")]
    internal static unsafe partial int GetSlaveName(FileDescriptor master, byte* buffer, nuint size);

    [LibraryImport(LibC, EntryPoint = "tcgetattr", SetLastError = true)]
    internal static unsafe partial int GetTerminalAttributes(FileDescriptor fd, void* termios);

    [LibraryImport(LibC, EntryPoint = "tcsetattr", SetLastError = true)]
    internal static unsafe partial int SetTerminalAttributes(FileDescriptor fd, int when, void* termios);

    [LibraryImport(LibC, EntryPoint = "cfmakeraw")]
    internal static unsafe partial void MakeRaw(void* termios);
}
