using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// Access to addresses that somebody else named, of this process or of another one. The kernel does the copying (<c>process_vm_readv</c>), so an address
/// that is not mapped, or is behind the end of its file, answers EFAULT and never raises a signal.
/// </summary>
public static class ProcessMemory
{
    private static readonly Lazy<bool> s_canPopulate = new(CanPopulate);

    /// <summary>Copies from an address.</summary>
    /// <param name="address">Any address.</param>
    /// <param name="destination">Filled completely after success; after a failure its contents are undefined.</param>
    /// <returns>EFAULT if any byte cannot be read.</returns>
    public static Errno TryRead(nuint address, Span<byte> destination) => TryRead(Environment.ProcessId, address, destination);

    /// <summary>Copies from an address of a process.</summary>
    /// <param name="processId">The process, which this one must be allowed to trace.</param>
    /// <param name="address">Any address.</param>
    /// <param name="destination">Filled completely after success; after a failure its contents are undefined.</param>
    /// <returns>EFAULT if any byte cannot be read; ESRCH when there is no such process; EPERM.</returns>
    public static unsafe Errno TryRead(int processId, nuint address, Span<byte> destination)
    {
        // SAFETY: the local side is pinned and its length passed along; the remote side is checked by the kernel.
        fixed (byte* local = destination)
        {
            return Copy(processId, local, address, (nuint)destination.Length, write: false);
        }
    }

    /// <summary>Copies to an address.</summary>
    /// <param name="address">Any address.</param>
    /// <param name="source">The bytes; after a failure some of them may have been written.</param>
    /// <returns>EFAULT if any byte cannot be written, because it is not mapped or mapped for reading only.</returns>
    public static Errno TryWrite(nuint address, ReadOnlySpan<byte> source) => TryWrite(Environment.ProcessId, address, source);

    /// <summary>Copies to an address of a process.</summary>
    /// <param name="processId">The process, which this one must be allowed to trace.</param>
    /// <param name="address">Any address.</param>
    /// <param name="source">The bytes; after a failure some of them may have been written.</param>
    /// <returns>EFAULT if any byte cannot be written; ESRCH when there is no such process; EPERM.</returns>
    public static unsafe Errno TryWrite(int processId, nuint address, ReadOnlySpan<byte> source)
    {
        // SAFETY: as in TryRead.
        fixed (byte* local = source)
        {
            return Copy(processId, local, address, (nuint)source.Length, write: true);
        }
    }

    /// <summary>Brings pages of this process in, as an access would, without touching what they hold.</summary>
    /// <param name="address">The first page, page aligned.</param>
    /// <param name="length">Length in bytes, a multiple of the page.</param>
    /// <param name="writable">Whether they will be written.</param>
    /// <returns><see cref="Errno.None"/>; EFAULT where nothing is mapped or the right is lacking; ENOSYS before Linux 5.14.</returns>
    /// <remarks><c>MADV_POPULATE_READ</c>, <c>MADV_POPULATE_WRITE</c>.</remarks>
    public static Errno TryPopulate(nuint address, nuint length, bool writable)
    {
        if (!s_canPopulate.Value)
        {
            return Errno.ENOSYS;
        }

        while (Interop.Advise((nint)address, length, writable ? Interop.AdvicePopulateWrite : Interop.AdvicePopulateRead) < 0)
        {
            if (Interop.LastError != Errno.EINTR)
            {
                return Errno.EFAULT;
            }
        }

        return Errno.None;
    }

    private static bool CanPopulate()
    {
        if (MemoryMapping.TryMapAnonymous((nuint)Environment.SystemPageSize, MemoryProtection.Read, out MemoryMapping? mapping) != Errno.None)
        {
            return false;
        }

        using MemoryMapping probe = mapping!;
        unsafe
        {
            // SAFETY: the advice brings a page of this mapping in.
            return Interop.Advise((nint)probe.Pointer, probe.Length, Interop.AdvicePopulateRead) == 0;
        }
    }

    private static unsafe Errno Copy(int processId, byte* local, nuint address, nuint length, bool write)
    {
        if (address > nuint.MaxValue - length)
        {
            return Errno.EFAULT;
        }

        nuint done = 0;
        while (done < length)
        {
            Interop.IoVector here = new() { Base = local + done, Length = length - done };
            Interop.IoVector there = new() { Base = (void*)(address + done), Length = length - done };

            // SAFETY: `here` is inside the pinned span; `there` is only interpreted by the kernel.
            nint count = write
                ? Interop.ProcessVmWrite(processId, &here, 1, &there, 1, 0)
                : Interop.ProcessVmRead(processId, &here, 1, &there, 1, 0);
            if (count < 0)
            {
                Errno error = Interop.LastError;
                if (error == Errno.EINTR)
                {
                    continue;
                }

                return error;
            }

            if (count == 0)
            {
                return Errno.EFAULT;
            }

            done += (nuint)count;
        }

        return Errno.None;
    }
}
