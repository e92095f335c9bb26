using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const int ProcessSetNoNewPrivileges = 38;
    internal const nint CallSeccomp = 317;
    internal const nint CallLandlockCreateRuleset = 444;
    internal const nint CallLandlockAddRule = 445;
    internal const nint CallLandlockRestrictSelf = 446;
    internal const nint SeccompSetModeFilter = 1;
    internal const nint SeccompSynchronizeThreads = 1;
    internal const nint LandlockQueryVersion = 1;
    internal const nint LandlockPathBeneath = 1;

    /// <summary>
    /// <c>syscall(2)</c>, for the calls that no C library wraps: seccomp, which has a number of its own on each architecture and is called on x86-64
    /// only, and landlock_…, which have the same everywhere.
    /// </summary>
    [LibraryImport(LibC, EntryPoint = "syscall", SetLastError = true)]
    internal static unsafe partial nint SystemCall(nint number, nint first, void* second, nint third, nint fourth);

    [LibraryImport(LibC, EntryPoint = "prctl", SetLastError = true)]
    internal static partial int ProcessControl(int option, nuint first, nuint second, nuint third, nuint fourth);

    [LibraryImport(LibC, EntryPoint = "execv", SetLastError = true)]
    internal static unsafe partial int Execute(byte* path, byte** arguments);

    [LibraryImport(LibC, EntryPoint = "setenv", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int SetEnvironment(string name, string value, int overwrite);

    /// <summary><c>struct landlock_ruleset_attr</c>; kernels that know less of it take its beginning.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct LandlockRuleset
    {
        internal ulong Files;
        internal ulong Network;
        internal ulong Scopes;
    }

    /// <summary><c>struct landlock_path_beneath_attr</c>.</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    internal struct LandlockRule
    {
        internal ulong Access;
        internal int Folder;
    }

    /// <summary><c>struct sock_filter</c>: an instruction of classic BPF.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal record struct FilterInstruction(ushort Code, byte JumpTrue, byte JumpFalse, uint Value);

    /// <summary><c>struct sock_fprog</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct FilterProgram
    {
        internal ushort Length;
        internal FilterInstruction* Instructions;
    }
}
