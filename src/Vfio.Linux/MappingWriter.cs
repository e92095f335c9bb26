using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// Writes to a mapping whose file may get shorter at any time, by way of a small file in memory: the kernel does the stores, and where there is nothing to store to that is
/// an error and no signal.
/// </summary>
/// <remarks>
/// For this process alone, so that it needs no right to trace one, which <c>process_vm_writev(2)</c> does and <see cref="ProcessSandbox"/> takes away. Any thread; one
/// copies at a time. The lock is a leaf.
/// </remarks>
/// <param name="mapping">The mapping; the caller's, which outlives the writer.</param>
public sealed class MappingWriter(MemoryMapping mapping) : IDisposable
{
    /// <summary>Bytes that are copied by one pair of system calls.</summary>
    private const int PieceLength = 64 * 1024;

    private readonly Lock _lock = new();
    private MemFd? _file;
    private bool _isDisposed;

    /// <summary>Copies into the mapping.</summary>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="source">The bytes; after a failure some of them may have been written.</param>
    /// <returns>EFAULT where nothing can be written; EMFILE, ENFILE or ENOMEM when the copy itself lacks something.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the mapping.</exception>
    /// <exception cref="ObjectDisposedException">The mapping or the writer is disposed.</exception>
    public Errno TryWrite(nuint offset, ReadOnlySpan<byte> source)
    {
        // Nothing here touches it.
        Span<byte> destination = mapping.Slice(offset, source.Length);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            Errno error = _file is null ? MemFd.TryCreate("vfio copies", PieceLength, hugePages: false, out _file) : Errno.None;
            while (error == Errno.None && !source.IsEmpty)
            {
                IoResult result = _file!.Descriptor.WriteAt(source[..Math.Min(source.Length, PieceLength)], 0);
                if (!result.IsError)
                {
                    // As far as it comes: the next piece begins there, and fails when it cannot begin.
                    result = _file.Descriptor.ReadAt(destination[..result.Count], 0);
                }

                if (result.IsError || result.Value == 0)
                {
                    error = result.IsError ? result.Error : Errno.EFAULT;
                }
                else
                {
                    source = source[result.Count..];
                    destination = destination[result.Count..];
                }
            }

            return error;
        }
    }

    /// <summary>Closes the small file. Idempotent.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _isDisposed = true;
            _file?.Dispose();
            _file = null;
        }
    }
}
