using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const nint TracePokeUser = 6;
    internal const nint TraceContinue = 7;
    internal const nint TraceGetRegisters = 12;
    internal const nint TraceSetRegisters = 13;
    internal const nint TraceDetach = 17;
    internal const nint TraceSystemCall = 24;
    internal const nint TraceGetSignal = 0x4202;
    internal const nint TraceGetRegisterSet = 0x4204;
    internal const nint TraceSetRegisterSet = 0x4205;
    internal const nint TraceSeize = 0x4206;
    internal const nint TraceListen = 0x4208;

    /// <summary><c>NT_PRSTATUS</c>.</summary>
    internal const nint RegisterSetGeneral = 1;

    /// <summary><c>NT_X86_XSTATE</c>.</summary>
    internal const nint RegisterSetExtended = 0x202;

    [LibraryImport(LibC, EntryPoint = "ptrace", SetLastError = true)]
    internal static partial nint Trace(nint request, int threadId, nint address, nint data);
}
