using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// One open file descriptor. Who holds the object owns the descriptor; disposing closes it, once every call that is under way
/// has returned, so that a number is never reused under a running call.
/// </summary>
/// <remarks>
/// Calls on a disposed descriptor throw <see cref="ObjectDisposedException"/>. Every other failure is an error number.
/// All descriptors that this library makes are close-on-exec.
/// </remarks>
public partial class FileDescriptor : SafeHandle
{
    /// <summary>Wraps a descriptor number.</summary>
    /// <param name="fd">The number; negative for none.</param>
    /// <param name="ownsHandle">True if the object shall close it.</param>
    public FileDescriptor(int fd, bool ownsHandle)
        : base(-1, ownsHandle)
    {
        SetHandle(fd);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>The number, for messages and for calls that take raw numbers. It is only valid while the object is kept from being disposed.</summary>
    public int Number => (int)handle;

    /// <summary>Gives a descriptor that was made beforehand, so that nothing can fail between, what it is to own.</summary>
    internal static FileDescriptor Own(FileDescriptor reserved, int fd)
    {
        reserved.SetHandle(fd);
        return reserved;
    }

    /// <summary>Opens a path, close-on-exec. Creates files only with <see cref="OpenMode.Create"/>.</summary>
    /// <param name="path">The path.</param>
    /// <param name="mode">Access and waiting behaviour.</param>
    /// <param name="descriptor">The descriptor when the call succeeded.</param>
    /// <returns>What <c>open(2)</c> answered.</returns>
    public static Errno TryOpen(string path, OpenMode mode, out FileDescriptor? descriptor)
    {
        ArgumentNullException.ThrowIfNull(path);
        FileDescriptor result = new(-1, ownsHandle: true);
        while (true)
        {
            int fd = Interop.OpenAt(Interop.CurrentDirectory, path, (int)mode | Interop.OpenCloseOnExec, Interop.CreatedMode);
            if (fd >= 0)
            {
                result.SetHandle(fd);
                descriptor = result;
                return Errno.None;
            }

            Errno error = Interop.LastError;
            if (error != Errno.EINTR)
            {
                result.Dispose();
                descriptor = null;
                return error;
            }
        }
    }

    /// <summary>A second descriptor for the same open file; the caller owns it.</summary>
    /// <exception cref="LinuxException">The process has no descriptor left, or this one is not open.</exception>
    public FileDescriptor Duplicate()
    {
        TryDuplicate(out FileDescriptor? duplicate).ThrowIfError("duplicate a descriptor");
        return duplicate!;
    }

    /// <summary><see cref="Duplicate"/> for paths that a peer can trigger.</summary>
    /// <param name="duplicate">The new descriptor when the call succeeded.</param>
    public Errno TryDuplicate(out FileDescriptor? duplicate)
    {
        FileDescriptor result = new(-1, ownsHandle: true);
        int fd = Interop.Fcntl(this, Interop.FcntlDuplicateCloseOnExec, 0);
        if (fd < 0)
        {
            Errno error = Interop.LastError;
            result.Dispose();
            duplicate = null;
            return error;
        }

        result.SetHandle(fd);
        duplicate = result;
        return Errno.None;
    }

    /// <summary>Asks what the open file is.</summary>
    /// <param name="status">The answer when the call succeeded.</param>
    public unsafe Errno TryGetStatus(out FileStatus status)
    {
        Interop.StatxBuffer buffer = default;
        byte empty = 0;

        // SAFETY: both pointers are to locals that outlive the call; the buffer has the full size of struct statx.
        int result = Interop.Statx(this, &empty, Interop.AtEmptyPath, Interop.StatxBasicStats, &buffer);
        if (result < 0)
        {
            status = default;
            return Interop.LastError;
        }

        status = new FileStatus(
            KindOf(buffer.Mode),
            buffer.Size,
            ((ulong)buffer.DeviceMajor << 32) | buffer.DeviceMinor,
            buffer.Inode,
            buffer.BlockSize,
            buffer.Blocks * 512,
            ((ulong)buffer.RepresentedMajor << 32) | buffer.RepresentedMinor);
        return Errno.None;
    }

    /// <summary>True if the file is served by a process (FUSE), which can make every access to it wait for as long as it likes.</summary>
    public bool IsServedByProcess() => IsOfFileSystem(0x65735546);

    /// <summary>True if the file's pages are huge ones of hugetlbfs, a memfd's too: such files are mapped and read, but have no <c>write(2)</c> (EINVAL).</summary>
    public bool IsOfHugePages() => IsOfFileSystem(0x958458F6);

    /// <summary>
    /// True if the open file is an eventfd. One <c>readlink</c> in procfs, nothing allocated; false when procfs is not mounted.
    /// </summary>
    public bool IsEventFd() => LinkEquals("anon_inode:[eventfd]"u8);

    /// <summary>Tells how the file was opened.</summary>
    /// <param name="mode">The flags that <see cref="OpenMode"/> knows.</param>
    /// <returns>EBADF when the descriptor is not open.</returns>
    public Errno TryGetMode(out OpenMode mode)
    {
        const OpenMode Known = OpenMode.WriteOnly | OpenMode.ReadWrite | OpenMode.NonBlocking | OpenMode.Append | OpenMode.Direct
            | OpenMode.NoFollow | OpenMode.PathOnly;
        int flags = Interop.Fcntl(this, Interop.FcntlGetFlags, 0);
        mode = flags < 0 ? OpenMode.ReadOnly : (OpenMode)flags & Known;
        return flags < 0 ? Interop.LastError : Errno.None;
    }

    /// <summary>Asks whether reads and writes of this open file answer <see cref="Errno.EAGAIN"/> instead of waiting.</summary>
    /// <param name="isNonBlocking">The answer after success; every holder of the open file may change it.</param>
    public Errno TryGetNonBlocking(out bool isNonBlocking)
    {
        Errno error = TryGetMode(out OpenMode mode);
        isNonBlocking = (mode & OpenMode.NonBlocking) != 0;
        return error;
    }

    /// <summary>Makes reads and writes answer <see cref="Errno.EAGAIN"/> instead of waiting, for every holder of this open file.</summary>
    public Errno TrySetNonBlocking()
    {
        int flags = Interop.Fcntl(this, Interop.FcntlGetFlags, 0);
        if (flags < 0)
        {
            return Interop.LastError;
        }

        return (flags & Interop.OpenNonBlocking) != 0
            ? Errno.None
            : Interop.ToErrno(Interop.Fcntl(this, Interop.FcntlSetFlags, flags | Interop.OpenNonBlocking));
    }

    /// <summary>Sets the length of a regular file.</summary>
    /// <param name="length">The new length in bytes.</param>
    /// <returns>EPERM where a seal forbids it.</returns>
    public Errno TrySetLength(ulong length)
    {
        if (length > long.MaxValue)
        {
            return Errno.EINVAL;
        }

        while (true)
        {
            Errno error = Interop.ToErrno(Interop.Truncate(this, (long)length));
            if (error != Errno.EINTR)
            {
                return error;
            }
        }
    }

    /// <summary>Reads at the file's own position (<c>read(2)</c>).</summary>
    /// <returns>The number of bytes, which may be fewer than asked; 0 at the end.</returns>
    public unsafe IoResult Read(Span<byte> buffer)
    {
        // SAFETY: the span is pinned for as long as the kernel writes to it, and its length is passed along.
        fixed (byte* pointer = buffer)
        {
            while (true)
            {
                IoResult result = Interop.ToResult(Interop.Read(this, pointer, (nuint)buffer.Length));
                if (result.Error != Errno.EINTR)
                {
                    return result;
                }
            }
        }
    }

    /// <summary>Writes at the file's own position (<c>write(2)</c>).</summary>
    /// <returns>The number of bytes, which may be fewer than given.</returns>
    public unsafe IoResult Write(ReadOnlySpan<byte> buffer)
    {
        // SAFETY: the span is pinned for as long as the kernel reads from it, and its length is passed along.
        fixed (byte* pointer = buffer)
        {
            while (true)
            {
                IoResult result = Interop.ToResult(Interop.Write(this, pointer, (nuint)buffer.Length));
                if (result.Error != Errno.EINTR)
                {
                    return result;
                }
            }
        }
    }

    /// <summary>Reads at an offset without moving the file's position (<c>pread(2)</c>).</summary>
    /// <param name="buffer">Where the bytes go.</param>
    /// <param name="offset">Offset in bytes; above <see cref="long.MaxValue"/> the answer is EINVAL.</param>
    /// <returns>The number of bytes, which may be fewer than asked; 0 at or behind the end.</returns>
    public unsafe IoResult ReadAt(Span<byte> buffer, ulong offset)
    {
        // SAFETY: the span is pinned for as long as the kernel writes to it, and its length is passed along.
        fixed (byte* pointer = buffer)
        {
            while (true)
            {
                IoResult result = Interop.ToResult(Interop.PRead(this, pointer, (nuint)buffer.Length, (long)offset));
                if (result.Error != Errno.EINTR)
                {
                    return result;
                }
            }
        }
    }

    /// <summary>Writes at an offset without moving the file's position (<c>pwrite(2)</c>).</summary>
    /// <param name="buffer">The bytes.</param>
    /// <param name="offset">Offset in bytes; above <see cref="long.MaxValue"/> the answer is EINVAL.</param>
    /// <returns>The number of bytes, which may be fewer than given.</returns>
    public unsafe IoResult WriteAt(ReadOnlySpan<byte> buffer, ulong offset)
    {
        // SAFETY: the span is pinned for as long as the kernel reads from it, and its length is passed along.
        fixed (byte* pointer = buffer)
        {
            while (true)
            {
                IoResult result = Interop.ToResult(Interop.PWrite(this, pointer, (nuint)buffer.Length, (long)offset));
                if (result.Error != Errno.EINTR)
                {
                    return result;
                }
            }
        }
    }

    /// <summary>Makes a range read as zeros and gives back its storage; the length stays (<c>fallocate(2)</c>, FALLOC_FL_PUNCH_HOLE).</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Length in bytes, not zero.</param>
    /// <returns>EOPNOTSUPP where the file system cannot; EINVAL for ranges that no file has.</returns>
    public Errno TryPunchHole(ulong offset, ulong length)
    {
        if (offset > long.MaxValue || length > long.MaxValue - offset)
        {
            return Errno.EINVAL;
        }

        while (true)
        {
            Errno error = Interop.ToErrno(Interop.Allocate(this, Interop.AllocatePunchHole | Interop.AllocateKeepSize, (long)offset, (long)length));
            if (error != Errno.EINTR)
            {
                return error;
            }
        }
    }

    /// <summary>Waits until what was written is on the storage, with what is needed to find it (<c>fdatasync(2)</c>).</summary>
    /// <returns>EIO when it is not.</returns>
    public Errno TrySynchronize()
    {
        while (true)
        {
            Errno error = Interop.ToErrno(Interop.SynchronizeData(this));
            if (error != Errno.EINTR)
            {
                return error;
            }
        }
    }

    /// <summary>An ioctl whose argument is a number or an address (<c>ioctl(2)</c>).</summary>
    /// <param name="request">The command.</param>
    /// <param name="argument">Number, or address of the argument, which the caller keeps valid and in place.</param>
    public IoResult Ioctl(uint request, nint argument)
    {
        while (true)
        {
            IoResult result = Interop.ToResult(Interop.Ioctl(this, request, argument));
            if (result.Error != Errno.EINTR)
            {
                return result;
            }
        }
    }

    /// <summary>An ioctl on a structure that the kernel reads and may write.</summary>
    /// <typeparam name="T">A structure of <c>Vfio.Abi</c>.</typeparam>
    /// <param name="request">The command.</param>
    /// <param name="argument">The structure.</param>
    public unsafe IoResult Ioctl<T>(uint request, ref T argument)
        where T : unmanaged
    {
        // SAFETY: pinned during the call. That the kernel stays inside is the contract of the command, or of the argsz in T.
        fixed (T* pointer = &argument)
        {
            return Ioctl(request, (nint)pointer);
        }
    }

    /// <summary>An ioctl on a structure with a variable part, or on a text that ends in a zero byte; the kernel reads it and may write it.</summary>
    /// <param name="request">The command.</param>
    /// <param name="argument">The structure; its own size field says how much of it there is.</param>
    public unsafe IoResult Ioctl(uint request, Span<byte> argument)
    {
        // SAFETY: pinned during the call. That the kernel stays inside is the contract of the command, or of the size in the structure.
        fixed (byte* pointer = argument)
        {
            return Ioctl(request, (nint)pointer);
        }
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Interop.Close((int)handle) == 0;

    private static FileKind KindOf(ushort mode) => (mode & 0xF000) switch
    {
        0x0000 => FileKind.Anonymous,
        0x1000 => FileKind.Pipe,
        0x2000 => FileKind.CharacterDevice,
        0x4000 => FileKind.Directory,
        0x6000 => FileKind.BlockDevice,
        0x8000 => FileKind.Regular,
        0xA000 => FileKind.SymbolicLink,
        0xC000 => FileKind.Socket,
        _ => FileKind.Unknown,
    };

    [SkipLocalsInit]
    private unsafe bool LinkEquals(ReadOnlySpan<byte> expected)
    {
        const int TargetSize = 64;
        byte* path = stackalloc byte[32];
        byte* target = stackalloc byte[TargetSize];
        Span<byte> pathSpan = new(path, 32);
        "/proc/self/fd/"u8.CopyTo(pathSpan);
        bool added = false;
        try
        {
            // The number must stay ours while procfs is asked about it.
            DangerousAddRef(ref added);
            if (!System.Buffers.Text.Utf8Formatter.TryFormat(Number, pathSpan["/proc/self/fd/"u8.Length..^1], out int digits))
            {
                return false;
            }

            pathSpan["/proc/self/fd/"u8.Length + digits] = 0;

            // SAFETY: the path is terminated; the target buffer's size is passed along.
            nint length = Interop.ReadLink(path, target, TargetSize);
            return length >= 0 && new ReadOnlySpan<byte>(target, (int)length).SequenceEqual(expected);
        }
        finally
        {
            if (added)
            {
                DangerousRelease();
            }
        }
    }

    private unsafe bool IsOfFileSystem(long magic)
    {
        const int Size = 120;
        long* buffer = stackalloc long[Size / sizeof(long)];
        buffer[0] = 0;

        // SAFETY: room for the whole struct statfs of 64-bit systems, whose first member is the type.
        return Interop.FileSystemStatus(this, buffer) == 0 && buffer[0] == magic;
    }
}
