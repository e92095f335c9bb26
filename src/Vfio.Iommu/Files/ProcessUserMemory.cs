using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>The memory of a process that calls ioctls: this one, or another one that this one may trace. A bad address is EFAULT and never a fault.</summary>
/// <remarks>A process that is gone has no memory: EFAULT.</remarks>
/// <param name="processId">The process; null for this one.</param>
public sealed class ProcessUserMemory(int? processId = null) : IPinnableUserMemory, IProcessUserMemory
{
    private readonly int _processId = processId ?? Environment.ProcessId;

    /// <inheritdoc/>
    public int ProcessId => _processId;

    /// <inheritdoc/>
    public Errno Read(ulong address, Span<byte> destination) => Bad(ProcessMemory.TryRead(_processId, (nuint)address, destination));

    /// <inheritdoc/>
    public Errno Write(ulong address, ReadOnlySpan<byte> source) => Bad(ProcessMemory.TryWrite(_processId, (nuint)address, source));

    /// <summary>Brings the pages in, and sees that they can be used. Nothing keeps them: their owner may take them away later.</summary>
    /// <inheritdoc/>
    public Errno Pin(ulong address, ulong length, bool writable)
    {
        Errno error = _processId == Environment.ProcessId ? ProcessMemory.TryPopulate((nuint)address, (nuint)length, writable) : Errno.ENOSYS;
        if (error != Errno.ENOSYS)
        {
            return error;
        }

        // A byte of each page is read; whether they can be written shows when they are.
        const ulong PageSize = 4096;
        Span<byte> probe = stackalloc byte[1];
        for (ulong offset = 0; offset < length; offset += PageSize)
        {
            error = Read(address + offset, probe);
            if (error != Errno.None)
            {
                return error;
            }
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    public void Unpin(ulong address, ulong length)
    {
    }

    private static Errno Bad(Errno error) => error == Errno.None ? Errno.None : Errno.EFAULT;
}
