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
        Errno error = TryOpen(name, size, sealable, hugePages: false, out FileDescriptor? descriptor);
        Descriptor = error == Errno.None ? descriptor! : throw new LinuxException(error, $"make the memfd \"{name}\" of {size} bytes");
        Size = size;
    }

    private MemFd(FileDescriptor descriptor, ulong size)
    {
        Descriptor = descriptor;
        Size = size;
    }

    /// <summary>The descriptor, owned by this object.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>The length in bytes that the file was made with.</summary>
    public ulong Size { get; }

    /// <summary>Makes a file of zeros, in huge pages of 2 MiB if wanted. Seals may be added.</summary>
    /// <param name="name">As in the constructor.</param>
    /// <param name="size">Length in bytes; of huge pages a multiple of 2 MiB.</param>
    /// <param name="hugePages">Whether its pages are huge.</param>
    /// <param name="file">The file after success.</param>
    /// <returns>
    /// ENFILE, EMFILE or ENOMEM when there are no more; ENODEV, EINVAL or ENOSYS where the kernel has no huge pages. Whether enough of those are
    /// free tells the first mapping, by ENOMEM.
    /// </returns>
    public static Errno TryCreate(string name, ulong size, bool hugePages, out MemFd? file)
    {
        Errno error = TryOpen(name, size, sealable: true, hugePages, out FileDescriptor? descriptor);
        file = error == Errno.None ? new MemFd(descriptor!, size) : null;
        return error;
    }

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

    private static Errno TryOpen(string name, ulong size, bool sealable, bool hugePages, out FileDescriptor? descriptor)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, (ulong)long.MaxValue);
        descriptor = null;
        uint flags = Interop.MemfdCloseOnExec | (sealable ? Interop.MemfdAllowSealing : 0) | (hugePages ? Interop.MemfdHugePages : 0);
        int fd = Interop.MemfdCreate(name, flags);
        if (fd < 0)
        {
            return Interop.LastError;
        }

        descriptor = new FileDescriptor(fd, ownsHandle: true);
        Errno error = descriptor.TrySetLength(size);
        if (error != Errno.None)
        {
            descriptor.Dispose();
            descriptor = null;
        }

        return error;
    }
}
