using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const nint TraceContinue = 7;
    internal const nint TraceSingleStep = 9;
    internal const nint TraceGetRegisters = 12;
    internal const nint TraceSetRegisters = 13;
    internal const nint TraceDetach = 17;
    internal const nint TraceSystemCall = 24;
    internal const nint TraceGetEventMessage = 0x4201;
    internal const nint TraceGetSignal = 0x4202;
    internal const nint TraceSeize = 0x4206;
    internal const nint TraceListen = 0x4208;

    [LibraryImport(LibC, EntryPoint = "ptrace", SetLastError = true)]
    internal static partial nint Trace(nint request, int threadId, nint address, nint data);
}
