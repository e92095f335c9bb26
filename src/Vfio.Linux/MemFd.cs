using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Memory with a descriptor and no name in the file system, which can be given to another process and mapped there.</summary>
public sealed class MemFd : IDisposable
{
    /// <summary>Makes a file of zeros. Pages are allocated when they are first touched.</summary>
    /// <param name="name">A name for <c>/proc/PID/fd</c> and <c>/proc/PID/maps</c>, at most 249 bytes.</param>
    /// <param name="size">Length in bytes.</param>
    /// <param name="sealable">True if seals may be added later.</param>
    /// <exception cref="LinuxException">The memory or the descriptor is not to be had.</exception>
    public MemFd(string name, ulong size, bool sealable = true)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, (ulong)long.MaxValue);
        int fd = Interop.MemfdCreate(name, Interop.MemfdCloseOnExec | (sealable ? Interop.MemfdAllowSealing : 0));
        if (fd < 0)
        {
            throw new LinuxException(Interop.LastError, $"create the memfd \"{name}\"");
        }

        Descriptor = new FileDescriptor(fd, ownsHandle: true);
        Size = size;
        Errno error = Descriptor.TrySetLength(size);
        if (error != Errno.None)
        {
            Descriptor.Dispose();
            throw new LinuxException(error, $"give the memfd \"{name}\" a length of {size} bytes");
        }
    }

    /// <summary>The descriptor, owned by this object.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>The length in bytes that the file was made with.</summary>
    public ulong Size { get; }

    /// <summary>The seals on any file.</summary>
    /// <param name="descriptor">The file.</param>
    /// <param name="seals">Its seals after success.</param>
    /// <returns>EINVAL if the file is of a kind that has no seals.</returns>
    public static Errno TryGetSeals(FileDescriptor descriptor, out FileSeals seals)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        int result = Interop.Fcntl(descriptor, Interop.FcntlGetSeals, 0);
        if (result < 0)
        {
            seals = FileSeals.None;
            return Interop.LastError;
        }

        seals = (FileSeals)result;
        return Errno.None;
    }

    /// <summary>Adds seals to any file.</summary>
    /// <param name="descriptor">The file.</param>
    /// <param name="seals">The seals to add.</param>
    /// <returns>
    /// EPERM if the file is sealed against seals or open for reading only, EINVAL if its kind has none, EBUSY if
    /// <see cref="FileSeals.Write"/> meets a writable mapping.
    /// </returns>
    public static Errno TryAddSeals(FileDescriptor descriptor, FileSeals seals)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        return Interop.ToErrno(Interop.Fcntl(descriptor, Interop.FcntlAddSeals, (nint)seals));
    }

    /// <summary>Adds seals to this file; errors as in <see cref="TryAddSeals(FileDescriptor, FileSeals)"/>.</summary>
    /// <param name="seals">The seals to add.</param>
    public Errno TryAddSeals(FileSeals seals) => TryAddSeals(Descriptor, seals);

    /// <summary>Closes the descriptor. Mappings and other holders keep the memory. Idempotent.</summary>
    public void Dispose() => Descriptor.Dispose();
}
