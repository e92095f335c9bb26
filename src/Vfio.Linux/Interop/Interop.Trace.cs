using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const int TraceContinue = 7;
    internal const int TraceGetRegisters = 12;
    internal const int TraceSetRegisters = 13;
    internal const int TraceDetach = 17;
    internal const int TraceGetEventMessage = 0x4201;
    internal const int TraceGetSignal = 0x4202;
    internal const int TraceGetRegisterSet = 0x4204;
    internal const int TraceSetRegisterSet = 0x4205;
    internal const int TraceSeize = 0x4206;
    internal const int TraceListen = 0x4208;

    /// <summary><c>NT_X86_XSTATE</c>.</summary>
    internal const int RegisterSetExtended = 0x202;

    /// <summary><c>__WALL | __WNOTHREAD</c>: threads as well as processes, and of this thread's tracees only.</summary>
    internal const int WaitAllOfThread = 0x40000000 | 0x20000000;

    [LibraryImport(LibC, EntryPoint = "ptrace", SetLastError = true)]
    internal static unsafe partial nint Trace(nint request, int threadId, void* address, void* data);

    [LibraryImport(LibC, EntryPoint = "wait4", SetLastError = true)]
    internal static unsafe partial int Wait(int processId, int* status, int options, void* usage);
}
