using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    /// <summary>SIGURG: by default ignored, and used by nobody for what it was made for.</summary>
    internal const int SignalUrgent = 23;
    internal const nint SignalDefault = 0;
    internal const nint SignalIgnore = 1;

    /// <summary>No less than <c>struct sigaction</c> has in any C library of a 64-bit Linux: handler, 128 bytes of mask, flags, restorer.</summary>
    internal const int SignalActionSize = 256;

    private static readonly bool s_isX64 = RuntimeInformation.ProcessArchitecture == Architecture.X64;

    /// <summary>gettid and tgkill, which not every C library wraps; their numbers on x86-64, and on the architectures with the common table.</summary>
    internal static nint CallGetThreadId => s_isX64 ? 186 : 178;

    internal static nint CallSignalThread => s_isX64 ? 234 : 131;

    [LibraryImport(LibC, EntryPoint = "sigaction", SetLastError = true)]
    internal static unsafe partial int SetSignalAction(int signal, void* action, void* old);
}
