using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Where a namespace keeps its blocks: <see cref="Length"/> bytes that read as zeros until they are written.</summary>
/// <remarks>
/// <para>
/// Called from several threads at once, one for each submission queue that runs. Ranges are inside <see cref="Length"/> and whole blocks.
/// No member throws: a peer causes the calls. The namespace disposes its backend.
/// </para>
/// <para>
/// The calls are synchronous: for memory there is nothing to wait for, and commands for a backend that waits have threads of their own (<c>QueueLanes</c>),
/// several of a queue at a time.
/// </para>
/// </remarks>
public interface INvmeBackend : IDisposable
{
    /// <summary>Length in bytes; does not change.</summary>
    ulong Length { get; }

    /// <summary>
    /// Whether calls may wait for something slower than memory. Those that do not are given the host's memory itself; the others a buffer,
    /// so that the host can unmap its memory meanwhile.
    /// </summary>
    bool MayWait { get; }

    /// <summary>
    /// Whether it depends on another program or machine, which may not answer for long. Such a call is never made on a thread that runs a queue.
    /// </summary>
    bool IsRemote => false;

    /// <summary>Whether what was written may be lost with the power until <see cref="Flush"/>: the volatile write cache of the controller.</summary>
    bool HasVolatileCache { get; }

    /// <summary>Whether nothing may be written.</summary>
    bool IsReadOnly { get; }

    /// <summary>Reads.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="destination">Receives the bytes; may be the host's memory.</param>
    /// <returns><see cref="Errno.None"/>, or why the command fails with Unrecovered Read Error.</returns>
    Errno Read(ulong offset, Span<byte> destination);

    /// <summary>Writes.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="source">The bytes; may be the host's memory, which can change meanwhile.</param>
    /// <returns><see cref="Errno.None"/>, or why the command fails with Write Fault.</returns>
    Errno Write(ulong offset, ReadOnlySpan<byte> source);

    /// <summary>Makes everything that was written before durable.</summary>
    /// <returns><see cref="Errno.None"/>, or why the command fails with Write Fault.</returns>
    Errno Flush();

    /// <summary>Makes a range read as zeros, and gives back what it takes where that is possible. Takes no longer for long ranges than the storage needs.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Length in bytes.</param>
    /// <returns><see cref="Errno.None"/>, or why the command fails with Write Fault.</returns>
    Errno Clear(ulong offset, ulong length);
}
