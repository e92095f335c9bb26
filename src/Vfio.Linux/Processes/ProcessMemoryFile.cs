using System.Globalization;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Reads a few bytes of a process's memory again and again. Any thread.</summary>
/// <remarks>
/// <c>/proc/PID/mem</c>: the right to read is checked when it is opened, and not again with each read as <see cref="ProcessMemory"/> has it, which costs half as much more
/// for a few bytes. The file stays with the program that the process executed when it was opened.
/// </remarks>
internal sealed class ProcessMemoryFile(int processId) : IDisposable
{
    private readonly Lock _lock = new();
    private FileDescriptor? _descriptor;

    /// <summary>Copies from an address.</summary>
    /// <param name="address">Any address of a process, below 2^63.</param>
    /// <param name="destination">Filled completely after success.</param>
    /// <returns>EFAULT if any byte cannot be read; ESRCH or what opening the file gave, when the process is gone or another user's.</returns>
    public Errno TryRead(ulong address, Span<byte> destination)
    {
        lock (_lock)
        {
            Errno error = Read(address, destination);
            if (error == Errno.ESRCH)
            {
                Forget();
                error = Read(address, destination);
            }

            return error;
        }
    }

    /// <summary>Forgets the descriptor; the next read opens another.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            Forget();
        }
    }

    private Errno Read(ulong address, Span<byte> destination)
    {
        if (_descriptor is null)
        {
            Errno error = FileDescriptor.TryOpen(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/mem"), OpenMode.ReadOnly, out _descriptor);
            if (error != Errno.None)
            {
                return error;
            }
        }

        IoResult read = _descriptor!.ReadAt(destination, address);

        // The end of the file: the program of that time is gone.
        return read.Count == destination.Length ? Errno.None : read.Value == 0 ? Errno.ESRCH : Errno.EFAULT;
    }

    private void Forget()
    {
        _descriptor?.Dispose();
        _descriptor = null;
    }
}
