using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>The stream of a migration session: read while saving, written while resuming.</summary>
/// <remarks>
/// <para>
/// Spec vfio-core §6.4. Made by the device when a session begins and handed to the user, who disposes it. When the session ends, which
/// <see cref="SteppedMigration"/> sees to, every member answers <see cref="Errno.ENODEV"/>; a user may keep the file for as long as it likes.
/// </para>
/// <para>
/// Members may be called at any time from any thread, also while the state changes; the overridable ones synchronize with the device. The
/// file is a stream: access to a position is <see cref="Errno.ESPIPE"/>.
/// </para>
/// </remarks>
public abstract class MigrationDataFile : VfioFile
{
    private volatile VfioDevice? _device;
    private volatile bool _ended;

    /// <summary>Whether the session is over.</summary>
    public bool IsEnded => _ended;

    /// <summary>
    /// What would not have to wait now: <see cref="EventLoopEvents.Read"/> when there is data or the end in stop-copy,
    /// <see cref="EventLoopEvents.Write"/> when data is taken. After the session both, since both answer at once.
    /// </summary>
    /// <remarks><c>poll</c> on the data file.</remarks>
    public sealed override EventLoopEvents Readiness => _ended ? EventLoopEvents.Read | EventLoopEvents.Write | EventLoopEvents.Error : GetReadiness();

    /// <summary>Reads saved state.</summary>
    /// <param name="buffer">Receives the bytes.</param>
    /// <returns>
    /// The number of bytes; 0 at the end in stop-copy; <see cref="Errno.ENOMSG"/> in pre-copy when nothing is pending now;
    /// <see cref="Errno.EBADF"/> on a file to be written; <see cref="Errno.ENODEV"/> after the session.
    /// </returns>
    public IoResult Read(Span<byte> buffer) => _ended ? Errno.ENODEV : OnRead(buffer);

    /// <summary>Writes state to be resumed.</summary>
    /// <param name="buffer">The bytes.</param>
    /// <returns>The number of bytes taken, or an errno: <see cref="Errno.EBADF"/> on a file to be read; <see cref="Errno.ENODEV"/> after the session.</returns>
    public IoResult Write(ReadOnlySpan<byte> buffer) => _ended ? Errno.ENODEV : OnWrite(buffer);

    /// <summary>Always <see cref="Errno.ESPIPE"/>: the file is a stream.</summary>
    /// <inheritdoc/>
    public sealed override IoResult Read(Span<byte> buffer, ulong position) => Errno.ESPIPE;

    /// <summary>Always <see cref="Errno.ESPIPE"/>: the file is a stream.</summary>
    /// <inheritdoc/>
    public sealed override IoResult Write(ReadOnlySpan<byte> buffer, ulong position) => Errno.ESPIPE;

    /// <summary>Tells how much is pending in pre-copy.</summary>
    /// <param name="info">The numbers.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> outside the pre-copy states; <see cref="Errno.ENODEV"/> after the session.</returns>
    /// <remarks>VFIO_MIG_GET_PRECOPY_INFO.</remarks>
    public Errno GetPrecopyInfo(out PrecopyInfo info)
    {
        info = default;
        return _ended ? Errno.ENODEV : OnGetPrecopyInfo(out info);
    }

    /// <summary>Executes a command in its binary form: VFIO_MIG_GET_PRECOPY_INFO.</summary>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure.</param>
    /// <returns>0, or an errno; <see cref="Errno.ENOTTY"/> for another command.</returns>
    /// <remarks><c>vfio_check_precopy_ioctl</c>. The REINIT flag is written only for a device that was opted in by feature 12; else the user's flags stay.</remarks>
    public sealed override IoResult Ioctl(uint command, UserArgument argument)
    {
        const int Size = 24;
        if (command != VfioUapi.VFIO_MIG_GET_PRECOPY_INFO)
        {
            return Errno.ENOTTY;
        }

        Errno error = argument.ReadExtensible(Size, out vfio_precopy_info raw, out _);
        if (error != Errno.None)
        {
            return error;
        }

        error = GetPrecopyInfo(out PrecopyInfo info);
        if (error != Errno.None)
        {
            return error;
        }

        if (_device is { PrecopyInfoV2: true })
        {
            raw.flags = info.IsReinitialized ? VfioUapi.VFIO_PRECOPY_INFO_REINIT : 0;
        }

        raw.initial_bytes = info.InitialBytes;
        raw.dirty_bytes = info.DirtyBytes;
        return argument.Write(0, in raw);
    }

    /// <summary>Ends the session: everything on the file answers <see cref="Errno.ENODEV"/> from now on. Idempotent.</summary>
    /// <remarks>Called by the device's migration as it leaves the saving states or RESUMING, and on reset and close. Does not wait for calls under way.</remarks>
    public void EndSession()
    {
        _ended = true;
        NotifyReadiness();
    }

    /// <summary>Reads saved state; see <see cref="Read(Span{byte})"/>.</summary>
    /// <param name="buffer">Receives the bytes.</param>
    /// <returns>The number of bytes, or an errno.</returns>
    protected virtual IoResult OnRead(Span<byte> buffer) => Errno.EBADF;

    /// <summary>Takes state to be resumed; see <see cref="Write(ReadOnlySpan{byte})"/>.</summary>
    /// <param name="buffer">The bytes.</param>
    /// <returns>The number of bytes taken, or an errno.</returns>
    protected virtual IoResult OnWrite(ReadOnlySpan<byte> buffer) => Errno.EBADF;

    /// <summary>Tells how much is pending in pre-copy; see <see cref="GetPrecopyInfo"/>.</summary>
    /// <param name="info">The numbers.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> outside the pre-copy states.</returns>
    protected virtual Errno OnGetPrecopyInfo(out PrecopyInfo info)
    {
        info = default;
        return Errno.EINVAL;
    }

    /// <summary>Tells what would not have to wait now. A device that answers ENOMSG overrides it.</summary>
    /// <returns>Read and write by default.</returns>
    protected virtual EventLoopEvents GetReadiness() => EventLoopEvents.Read | EventLoopEvents.Write;

    /// <summary>Nothing by default: the session goes on without its reader until the state changes.</summary>
    protected override void Close()
    {
    }

    /// <summary>Ends the session without telling, for a caller that holds a lock; <see cref="EndSession"/> afterwards tells.</summary>
    internal void MarkEnded() => _ended = true;

    /// <summary>Tells the file whose opt-ins count for it.</summary>
    internal void BelongTo(VfioDevice device) => _device = device;
}
