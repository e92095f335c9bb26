using Vfio.Abi;

namespace Vfio.Linux;

/// <content>What programs need that keep disks in files: locks, block devices, and input and output that passes by the page cache.</content>
public partial class FileDescriptor
{
    /// <summary>Locks the whole file for this open file, until its last descriptor is closed (<c>fcntl(2)</c>, F_OFD_SETLK). Does not wait.</summary>
    /// <param name="exclusive">Whether nobody else may have any lock; the descriptor must be open for writing then.</param>
    /// <returns>EAGAIN or EACCES when another open file, of whatever process, has a lock that excludes this one.</returns>
    /// <remarks>The lock only keeps those out who lock as well. QEMU does, whose locks of single bytes conflict with this one.</remarks>
    public unsafe Errno TryLock(bool exclusive)
    {
        Interop.FileLock request = new() { Kind = exclusive ? Interop.LockWrite : Interop.LockRead };

        // SAFETY: the structure is a local that outlives the call.
        return Interop.ToErrno(Interop.Fcntl(this, Interop.FcntlSetOpenFileLock, (nint)(&request)));
    }

    /// <summary>Asks how buffers and positions must be aligned for a file that is open with <see cref="OpenMode.Direct"/> (<c>statx(2)</c>, STATX_DIOALIGN).</summary>
    /// <param name="memory">Alignment of a buffer in bytes, after success.</param>
    /// <param name="offset">Alignment of offsets and lengths in bytes, after success.</param>
    /// <returns>EOPNOTSUPP where the file system does not say (or the kernel is older than 6.1).</returns>
    public unsafe Errno TryGetDirectAlignment(out uint memory, out uint offset)
    {
        Interop.StatxBuffer buffer = default;
        byte empty = 0;
        memory = 0;
        offset = 0;

        // SAFETY: both pointers are to locals that outlive the call; the buffer has the full size of struct statx.
        if (Interop.Statx(this, &empty, Interop.AtEmptyPath, Interop.StatxDirectAlignment, &buffer) < 0)
        {
            return Interop.LastError;
        }

        if ((buffer.Mask & Interop.StatxDirectAlignment) == 0 || buffer.DirectOffsetAlignment == 0)
        {
            return Errno.EOPNOTSUPP;
        }

        memory = buffer.DirectMemoryAlignment;
        offset = buffer.DirectOffsetAlignment;
        return Errno.None;
    }

    /// <summary>Asks for the length of a block device (BLKGETSIZE64).</summary>
    /// <param name="length">Its length in bytes after success.</param>
    /// <returns>ENOTTY for what is no block device.</returns>
    public Errno TryGetBlockDeviceLength(out ulong length)
    {
        length = 0;
        return Ioctl(Interop.BlockGetLength, ref length).Error;
    }

    /// <summary>Makes a range of a block device read as zeros, by writing them where the device has no command for it (BLKZEROOUT).</summary>
    /// <param name="offset">First byte, aligned to the device's logical blocks.</param>
    /// <param name="length">Length in bytes, aligned likewise.</param>
    /// <returns>ENOTTY for what is no block device; EINVAL for a range that is not aligned.</returns>
    public unsafe Errno TryZeroBlockDevice(ulong offset, ulong length)
    {
        ulong* range = stackalloc ulong[] { offset, length };

        // SAFETY: the kernel reads two numbers, which are locals that outlive the call.
        return Ioctl(Interop.BlockZeroOut, (nint)range).Error;
    }

    /// <summary>Ends a socket in both directions: reads and writes that wait return. The descriptor stays (<c>shutdown(2)</c>).</summary>
    public void ShutdownSocket() => _ = Interop.Shutdown(this, Interop.ShutdownBoth);
}
