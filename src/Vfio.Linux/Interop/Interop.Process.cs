using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const nint CallExecute = 59;
    internal const nint CallProcessDescriptorSignal = 424;
    internal const nint CallProcessDescriptorOpen = 434;
    internal const nint CallProcessDescriptorGetFile = 438;
    internal const nint SeccompNewListener = 8;
    internal const nint SeccompWaitKillable = 32;
    internal const nuint SeccompReceive = 0xC050_2100;
    internal const nuint SeccompSend = 0xC018_2101;
    internal const nuint SeccompAddFile = 0x4018_2103;
    internal const nuint SeccompSetFlags = 0x4008_2104;
    internal const ulong SeccompSynchronousWakeUp = 1;
    internal const uint SeccompContinue = 1;
    internal const uint SeccompAddFileSetNumber = 1;
    internal const int WaitForProcessDescriptor = 3;
    internal const int WaitExited = 4;
    internal const int WaitAll = 0x4000_0000;
    internal const int WaitNoThread = 0x2000_0000;
    internal const int LimitOpenFiles = 7;
    internal const int ProcessSetParentDeathSignal = 1;

    /// <summary>Room for glibc's spawn attributes and file actions, which are smaller.</summary>
    internal const int SpawnObjectSize = 512;
    internal const int SignalSetSize = 128;
    internal const short SpawnSetSignalDefault = 4;
    internal const short SpawnSetSignalMask = 8;

    internal const uint WatchCloseWrite = 8;
    internal const int WatchCloseOnExec = OpenCloseOnExec;
    internal const int WatchNonBlocking = OpenNonBlocking;

    [LibraryImport(LibC, EntryPoint = "capget", SetLastError = true)]
    internal static unsafe partial int GetCapabilities(ProcessCapabilities.Header* header, ProcessCapabilities.Sets* sets);

    /// <summary><c>syscall(2)</c> for what the C library has no name for.</summary>
    [LibraryImport(LibC, EntryPoint = "syscall", SetLastError = true)]
    internal static unsafe partial nint SystemCall(nint number, nint first, nint second, nint third, nint fourth);

    [LibraryImport(LibC, EntryPoint = "posix_spawn", StringMarshalling = StringMarshalling.Utf8)]
    internal static unsafe partial int Spawn(out int processId, string path, void* actions, void* attributes, byte** arguments, byte** environment);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_init")]
    internal static unsafe partial int SpawnAttributesInitialize(void* attributes);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_destroy")]
    internal static unsafe partial int SpawnAttributesDestroy(void* attributes);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_setflags")]
    internal static unsafe partial int SpawnAttributesSetFlags(void* attributes, short flags);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_setsigdefault")]
    internal static unsafe partial int SpawnAttributesSetDefaultSignals(void* attributes, void* signals);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_setsigmask")]
    internal static unsafe partial int SpawnAttributesSetSignalMask(void* attributes, void* signals);

    [LibraryImport(LibC, EntryPoint = "posix_spawn_file_actions_init")]
    internal static unsafe partial int SpawnActionsInitialize(void* actions);

    [LibraryImport(LibC, EntryPoint = "posix_spawn_file_actions_destroy")]
    internal static unsafe partial int SpawnActionsDestroy(void* actions);

    [LibraryImport(LibC, EntryPoint = "posix_spawn_file_actions_adddup2")]
    internal static unsafe partial int SpawnActionsDuplicate(void* actions, int from, int to);

    [LibraryImport(LibC, EntryPoint = "waitid", SetLastError = true)]
    internal static unsafe partial int WaitId(int kind, int id, SignalInformation* information, int options);

    [LibraryImport(LibC, EntryPoint = "waitpid", SetLastError = true)]
    internal static partial int WaitProcess(int processId, out int status, int options);

    [LibraryImport(LibC, EntryPoint = "prlimit64", SetLastError = true)]
    internal static unsafe partial int ProcessLimit(int processId, int resource, ResourceLimit* wanted, ResourceLimit* old);

    [LibraryImport(LibC, EntryPoint = "inotify_init1", SetLastError = true)]
    internal static partial int WatchInitialize(int flags);

    [LibraryImport(LibC, EntryPoint = "inotify_add_watch", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int WatchAdd(FileDescriptor watch, string path, uint mask);

    [LibraryImport(LibC, EntryPoint = "mkfifo", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int MakeFifo(string path, uint mode);

    [LibraryImport(LibC, EntryPoint = "tcgetpgrp", SetLastError = true)]
    internal static partial int GetForegroundGroup(int terminal);

    [LibraryImport(LibC, EntryPoint = "access", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Access(string path, int mode);

    [LibraryImport(LibC, EntryPoint = "getpgrp")]
    internal static partial int GetProcessGroup();

    [StructLayout(LayoutKind.Sequential)]
    internal struct ResourceLimit
    {
        internal ulong Soft;
        internal ulong Hard;
    }

    /// <summary><c>siginfo_t</c>: of a child that ended, and of a fault.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    internal struct SignalInformation
    {
        [FieldOffset(0)]
        internal int Signal;

        [FieldOffset(8)]
        internal int Code;

        [FieldOffset(12)]
        internal int ProcessId;

        [FieldOffset(24)]
        internal int Status;

        [FieldOffset(16)]
        internal ulong Address;
    }

    /// <summary><c>struct seccomp_notif</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct SeccompNotification
    {
        internal ulong Id;
        internal int ThreadId;
        internal uint Flags;
        internal int Number;
        internal uint Architecture;
        internal ulong InstructionPointer;
        internal fixed ulong Arguments[6];
    }

    /// <summary><c>struct seccomp_notif_resp</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct SeccompResponse
    {
        internal ulong Id;
        internal long Value;
        internal int Error;
        internal uint Flags;
    }

    /// <summary><c>struct seccomp_notif_addfd</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct SeccompFile
    {
        internal ulong Id;
        internal uint Flags;
        internal int Source;
        internal int Number;
        internal uint NumberFlags;
    }
}
