using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// A system call that our own caller asked for has failed. Nothing that a peer does raises it: on those paths results are
/// <see cref="Errno"/> and <see cref="IoResult"/>.
/// </summary>
public sealed class LinuxException : IOException
{
    /// <summary>Makes the exception for an error and the operation that met it.</summary>
    /// <param name="errno">The error number.</param>
    /// <param name="operation">What was tried, with its object: <c>create the memfd "guest"</c>.</param>
    public LinuxException(Errno errno, string operation)
        : base(Describe(errno, operation))
    {
        Errno = errno;
        Operation = operation;
        HResult = (int)errno;
    }

    /// <summary>The raw Linux error number.</summary>
    public Errno Errno { get; }

    /// <summary>What was tried.</summary>
    public string Operation { get; }

    private static string Describe(Errno errno, string operation)
    {
        string message = $"Could not {operation}: {errno.GetName()} ({errno.GetText()}).";
        string? hint = Hint(errno);
        return hint is null ? message : $"{message} {hint}";
    }

    private static string? Hint(Errno errno) => errno switch
    {
        Errno.EMFILE => "This process has reached its limit of open descriptors: raise it with `ulimit -n`.",
        Errno.ENFILE => "The system has reached its limit of open files: see fs.file-max.",
        Errno.ENOMEM => "Memory, or the number of mappings of this process (vm.max_map_count), is used up.",
        Errno.EACCES or Errno.EPERM => "Check the owner and mode of the file, and what the sandbox of this process forbids.",
        Errno.EADDRINUSE => "Another server listens there, or an earlier one left its socket file behind: remove the file if none runs.",
        Errno.ECONNREFUSED => "The socket file is there but nobody listens on it: start the server.",
        Errno.ENAMETOOLONG => "The path of a UNIX socket has at most 107 bytes: use a shorter directory.",
        Errno.ENOSYS => "This kernel does not have the call.",
        _ => null,
    };
}
