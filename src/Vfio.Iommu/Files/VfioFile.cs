using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>
/// An open file of VFIO or iommufd: what a descriptor of <c>/dev/vfio/…</c> or <c>/dev/iommu</c> refers to. Duplicates share it; it is
/// closed when the last of them is.
/// </summary>
/// <remarks>Members answer with results, as the system calls do, and do not throw. An operation that a kind of file lacks answers as the kernel's would.</remarks>
public abstract class VfioFile : IDisposable
{
    private int _references = 1;

    /// <summary>Raised when <see cref="Readiness"/> may have changed, and when the file ended. Handlers must not block.</summary>
    public event Action? ReadinessChanged;

    /// <summary>What would not have to wait now (<c>poll</c>). Both reads and writes by default, as for every file that does not know better.</summary>
    public virtual EventLoopEvents Readiness => EventLoopEvents.Read | EventLoopEvents.Write;

    /// <summary>Whether reads and writes without a position go on where the last one ended. False for queues, which are read at position 0 always.</summary>
    public virtual bool HasPosition => true;

    /// <summary>Executes a command in its binary form.</summary>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure, or value, and descriptors.</param>
    /// <returns>The ioctl's result (0 or more), or an errno.</returns>
    public virtual IoResult Ioctl(uint command, UserArgument argument) => Errno.ENOTTY;

    /// <summary>Reads.</summary>
    /// <param name="buffer">Receives the bytes.</param>
    /// <param name="position">Position in the file.</param>
    /// <returns>The number of bytes, or an errno.</returns>
    public virtual IoResult Read(Span<byte> buffer, ulong position) => Errno.EINVAL;

    /// <summary>Writes.</summary>
    /// <param name="buffer">The bytes.</param>
    /// <param name="position">Position in the file.</param>
    /// <returns>The number of bytes, or an errno.</returns>
    public virtual IoResult Write(ReadOnlySpan<byte> buffer, ulong position) => Errno.EINVAL;

    /// <summary>Maps memory that the file offers.</summary>
    /// <param name="request">What to map.</param>
    /// <param name="memory">Where to find it, owned by the file.</param>
    /// <returns><see cref="Errno.None"/>, or an errno; <see cref="Errno.ENODEV"/> for a kind of file that cannot be mapped.</returns>
    public virtual Errno Map(in MapRequest request, out MappableMemory memory)
    {
        memory = default;
        return Errno.ENODEV;
    }

    /// <summary>Makes another reference to the same open file, to be disposed on its own (dup, fork, descriptor passing).</summary>
    /// <returns>This file.</returns>
    /// <exception cref="ObjectDisposedException">It is closed already.</exception>
    public VfioFile Duplicate()
    {
        ObjectDisposedException.ThrowIf(!TryDuplicate(), this);
        return this;
    }

    /// <summary>Makes another reference, as <see cref="Duplicate"/>, for paths that must not throw.</summary>
    /// <returns>False when the file is closed already.</returns>
    public bool TryDuplicate()
    {
        int references = Volatile.Read(ref _references);
        while (references > 0)
        {
            int seen = Interlocked.CompareExchange(ref _references, references + 1, references);
            if (seen == references)
            {
                return true;
            }

            references = seen;
        }

        return false;
    }

    /// <summary>Gives one reference back; the last one closes the file. Further calls do nothing.</summary>
    public void Dispose()
    {
        int references = Volatile.Read(ref _references);
        while (references > 0)
        {
            int seen = Interlocked.CompareExchange(ref _references, references - 1, references);
            if (seen == references)
            {
                if (references == 1)
                {
                    Close();
                }

                break;
            }

            references = seen;
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Raises <see cref="ReadinessChanged"/>. Call it without locks.</summary>
    protected void NotifyReadiness() => ReadinessChanged?.Invoke();

    /// <summary>Closes the file. Runs once, with the last <see cref="Dispose"/>.</summary>
    protected abstract void Close();
}
