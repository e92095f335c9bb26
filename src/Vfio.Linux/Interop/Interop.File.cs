using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const int OpenCloseOnExec = 0x80000;
    internal const int OpenNonBlocking = 0x800;
    internal const int FcntlGetFlags = 3;
    internal const int FcntlSetFlags = 4;
    internal const int FcntlDuplicateCloseOnExec = 1030;
    internal const int FcntlAddSeals = 1033;
    internal const int FcntlGetSeals = 1034;
    internal const int AtEmptyPath = 0x1000;
    internal const uint StatxBasicStats = 0x7ff;
    internal const int CurrentDirectory = -100;
    internal const uint MemfdCloseOnExec = 1;
    internal const uint MemfdAllowSealing = 2;

    /// <summary>MFD_HUGETLB | MFD_HUGE_2MB.</summary>
    internal const uint MemfdHugePages = 4 | (21u << 26);
    internal const int EventfdCloseOnExec = OpenCloseOnExec;
    internal const uint RenameNoReplace = 1;
    internal const int AllocateKeepSize = 1;
    internal const int AllocatePunchHole = 2;

    /// <summary>0666, of which the process's mask takes.</summary>
    internal const uint CreatedMode = 0x1B6;

    /// <summary>F_OFD_SETLK.</summary>
    internal const int FcntlSetOpenFileLock = 37;
    internal const short LockRead = 0;
    internal const short LockWrite = 1;
    internal const uint StatxDirectAlignment = 0x2000;

    /// <summary>BLKGETSIZE64.</summary>
    internal const uint BlockGetLength = 0x80081272;

    /// <summary>BLKZEROOUT.</summary>
    internal const uint BlockZeroOut = 0x127f;
    internal const int EventfdNonBlocking = OpenNonBlocking;

    /// <summary>RWF_NOWAIT, of this call only.</summary>
    internal const int ReadWithoutWaiting = 8;

    [LibraryImport(LibC, EntryPoint = "close", SetLastError = true)]
    internal static partial int Close(int fd);

    [LibraryImport(LibC, EntryPoint = "openat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int OpenAt(int directory, string path, int flags, uint mode);

    [LibraryImport(LibC, EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int Fcntl(FileDescriptor fd, int command, nint argument);

    [LibraryImport(LibC, EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Ioctl(FileDescriptor fd, nuint request, nint argument);

    [LibraryImport(LibC, EntryPoint = "read", SetLastError = true)]
    internal static unsafe partial nint Read(FileDescriptor fd, void* buffer, nuint count);

    [LibraryImport(LibC, EntryPoint = "write", SetLastError = true)]
    internal static unsafe partial nint Write(FileDescriptor fd, void* buffer, nuint count);

    [LibraryImport(LibC, EntryPoint = "pread64", SetLastError = true)]
    internal static unsafe partial nint PRead(FileDescriptor fd, void* buffer, nuint count, long offset);

    [LibraryImport(LibC, EntryPoint = "pwrite64", SetLastError = true)]
    internal static unsafe partial nint PWrite(FileDescriptor fd, void* buffer, nuint count, long offset);

    [LibraryImport(LibC, EntryPoint = "preadv64v2", SetLastError = true)]
    internal static unsafe partial nint ReadVector(FileDescriptor fd, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport(LibC, EntryPoint = "ftruncate64", SetLastError = true)]
    internal static partial int Truncate(FileDescriptor fd, long length);

    [LibraryImport(LibC, EntryPoint = "fallocate64", SetLastError = true)]
    internal static partial int Allocate(FileDescriptor fd, int mode, long offset, long length);

    [LibraryImport(LibC, EntryPoint = "fdatasync", SetLastError = true)]
    internal static partial int SynchronizeData(FileDescriptor fd);

    [LibraryImport(LibC, EntryPoint = "statx", SetLastError = true)]
    internal static unsafe partial int Statx(FileDescriptor directory, byte* path, int flags, uint mask, StatxBuffer* buffer);

    [LibraryImport(LibC, EntryPoint = "statx", SetLastError = true)]
    internal static unsafe partial int Statx(int directory, byte* path, int flags, uint mask, StatxBuffer* buffer);

    [LibraryImport(LibC, EntryPoint = "renameat2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Rename(int oldFolder, string oldPath, int newFolder, string newPath, uint flags);

    [LibraryImport(LibC, EntryPoint = "unlink", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Unlink(string path);

    [LibraryImport(LibC, EntryPoint = "fstatfs", SetLastError = true)]
    internal static unsafe partial int FileSystemStatus(FileDescriptor fd, void* buffer);

    [LibraryImport(LibC, EntryPoint = "readlink", SetLastError = true)]
    internal static unsafe partial nint ReadLink(byte* path, byte* buffer, nuint size);

    [LibraryImport(LibC, EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int MemfdCreate(string name, uint flags);

    [LibraryImport(LibC, EntryPoint = "eventfd", SetLastError = true)]
    internal static partial int Eventfd(uint initial, int flags);

    /// <summary><c>struct statx</c>, the same on every architecture; the fields behind the basic ones are left as padding.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct StatxBuffer
    {
        [FieldOffset(0)]
        internal uint Mask;

        [FieldOffset(4)]
        internal uint BlockSize;

        [FieldOffset(28)]
        internal ushort Mode;

        [FieldOffset(32)]
        internal ulong Inode;

        [FieldOffset(40)]
        internal ulong Size;

        [FieldOffset(48)]
        internal ulong Blocks;

        [FieldOffset(128)]
        internal uint RepresentedMajor;

        [FieldOffset(132)]
        internal uint RepresentedMinor;

        [FieldOffset(136)]
        internal uint DeviceMajor;

        [FieldOffset(140)]
        internal uint DeviceMinor;

        [FieldOffset(152)]
        internal uint DirectMemoryAlignment;

        [FieldOffset(156)]
        internal uint DirectOffsetAlignment;
    }

    /// <summary><c>struct flock</c> of a 64-bit system.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct FileLock
    {
        internal short Kind;
        internal short Whence;
        internal long Start;
        internal long Length;
        internal int Process;
    }
}
