using System.Globalization;

namespace Vfio.Run;

/// <summary>The names of the calls that come to the supervisor.</summary>
internal static class SystemCallNames
{
    /// <summary>The name of a call; its number when it is not one of ours.</summary>
    public static string Get(int number) => number switch
    {
        SystemCall.Read => "read",
        SystemCall.Write => "write",
        SystemCall.Open => "open",
        SystemCall.Close => "close",
        SystemCall.Stat => "stat",
        SystemCall.FStat => "fstat",
        SystemCall.LStat => "lstat",
        SystemCall.Seek => "lseek",
        SystemCall.Map => "mmap",
        SystemCall.Ioctl => "ioctl",
        SystemCall.ReadAt => "pread64",
        SystemCall.WriteAt => "pwrite64",
        SystemCall.ReadVector => "readv",
        SystemCall.WriteVector => "writev",
        SystemCall.Access => "access",
        SystemCall.Duplicate => "dup",
        SystemCall.Duplicate2 => "dup2",
        SystemCall.Execute => "execve",
        SystemCall.Fcntl => "fcntl",
        SystemCall.Truncate => "ftruncate",
        SystemCall.ChangeDirectory => "chdir",
        SystemCall.Create => "creat",
        SystemCall.ReadLink => "readlink",
        SystemCall.OpenAt => "openat",
        SystemCall.StatAt => "newfstatat",
        SystemCall.ReadLinkAt => "readlinkat",
        SystemCall.AccessAt => "faccessat",
        SystemCall.Allocate => "fallocate",
        SystemCall.Duplicate3 => "dup3",
        SystemCall.ReadVectorAt => "preadv",
        SystemCall.WriteVectorAt => "pwritev",
        SystemCall.ExecuteAt => "execveat",
        SystemCall.ReadVectorAt2 => "preadv2",
        SystemCall.WriteVectorAt2 => "pwritev2",
        SystemCall.StatX => "statx",
        SystemCall.RingSetup => "io_uring_setup",
        SystemCall.CloseRange => "close_range",
        SystemCall.OpenAt2 => "openat2",
        SystemCall.AccessAt2 => "faccessat2",
        _ => string.Create(CultureInfo.InvariantCulture, $"syscall_{number}"),
    };
}
