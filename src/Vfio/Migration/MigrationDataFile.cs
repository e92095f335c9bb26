using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>The stream of a migration session: read while saving, written while resuming.</summary>
/// <remarks>Spec vfio-core §6.4. After the session ended every member answers <see cref="Errno.ENODEV"/>.</remarks>
public abstract class MigrationDataFile
{
    /// <summary>Reads saved state.</summary>
    /// <param name="buffer">Receives the bytes.</param>
    /// <returns>
    /// The number of bytes; 0 at the end in stop-copy; <see cref="Errno.ENOMSG"/> in pre-copy when nothing is pending now.
    /// </returns>
    public virtual IoResult Read(Span<byte> buffer) => Errno.EINVAL;

    /// <summary>Writes state to be resumed.</summary>
    /// <param name="buffer">The bytes.</param>
    /// <returns>The number of bytes taken, or an errno.</returns>
    public virtual IoResult Write(ReadOnlySpan<byte> buffer) => Errno.EINVAL;

    /// <summary>Tells how much is pending in pre-copy.</summary>
    /// <param name="initialBytes">Bytes of the initial state still to be read.</param>
    /// <param name="dirtyBytes">Bytes that changed since they were read.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> outside the pre-copy states.</returns>
    public virtual Errno GetPrecopyInfo(out ulong initialBytes, out ulong dirtyBytes)
    {
        initialBytes = 0;
        dirtyBytes = 0;
        return Errno.EINVAL;
    }
}
