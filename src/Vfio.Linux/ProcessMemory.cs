using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// Access to addresses of this process that somebody else named. The kernel does the copying (<c>process_vm_readv</c>), so an address
/// that is not mapped, or is behind the end of its file, answers EFAULT and never raises a signal.
/// </summary>
public static class ProcessMemory
{
    /// <summary>Copies from an address.</summary>
    /// <param name="address">Any address.</param>
    /// <param name="destination">Filled completely after success; after a failure its contents are undefined.</param>
    /// <returns>EFAULT if any byte cannot be read.</returns>
    public static unsafe Errno TryRead(nuint address, Span<byte> destination)
    {
        // SAFETY: the local side is pinned and its length passed along; the remote side is checked by the kernel.
        fixed (byte* local = destination)
        {
            return Copy(local, address, (nuint)destination.Length, write: false);
        }
    }

    /// <summary>Copies to an address.</summary>
    /// <param name="address">Any address.</param>
    /// <param name="source">The bytes; after a failure some of them may have been written.</param>
    /// <returns>EFAULT if any byte cannot be written, because it is not mapped or mapped for reading only.</returns>
    public static unsafe Errno TryWrite(nuint address, ReadOnlySpan<byte> source)
    {
        // SAFETY: as in TryRead.
        fixed (byte* local = source)
        {
            return Copy(local, address, (nuint)source.Length, write: true);
        }
    }

    private static unsafe Errno Copy(byte* local, nuint address, nuint length, bool write)
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
                ? Interop.ProcessVmWrite(Environment.ProcessId, &here, 1, &there, 1, 0)
                : Interop.ProcessVmRead(Environment.ProcessId, &here, 1, &there, 1, 0);
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
