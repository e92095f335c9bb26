using Vfio.Abi;

namespace Vfio;

/// <summary>Migration for device authors: implements the walk over the states, and leaves one hop at a time to the device.</summary>
/// <remarks>
/// One lock is held around the whole walk, so that hops never overlap. A session's data file is ended here: when its saving states or
/// RESUMING are left, and by a reset or the last close.
/// </remarks>
public abstract class SteppedMigration : IVfioMigration
{
    private readonly Lock _lock = new();
    private MigrationState _state = MigrationState.Running;
    private MigrationDataFile? _session;

    /// <inheritdoc/>
    public abstract MigrationFlags Flags { get; }

    /// <inheritdoc/>
    public Errno SetState(MigrationState target, out MigrationDataFile? file)
    {
        MigrationDataFile? ended = null;
        Errno error;
        lock (_lock)
        {
            error = Walk(target, out file, ref ended);
        }

        ended?.EndSession();
        return error;
    }

    /// <inheritdoc/>
    public Errno GetState(out MigrationState state)
    {
        lock (_lock)
        {
            state = _state;
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    public abstract Errno GetDataSize(out ulong length);

    /// <inheritdoc/>
    public void Reset()
    {
        MigrationDataFile? ended = null;
        lock (_lock)
        {
            EndSession();
            LeaveSession(ref ended);
            _state = MigrationState.Running;
        }

        ended?.EndSession();
    }

    /// <summary>Makes one hop. The state changes only when this succeeds. Runs under the walk's lock.</summary>
    /// <param name="current">Where the device is.</param>
    /// <param name="next">A neighbouring state.</param>
    /// <param name="file">
    /// The data file, when the hop begins a session: from RUNNING to PRE_COPY, from RUNNING_P2P to PRE_COPY_P2P, from STOP to STOP_COPY or to
    /// RESUMING. Hops between saving states go on with the file that is there.
    /// </param>
    /// <returns>
    /// <see cref="Errno.None"/>, or the errno for the user. From RESUMING to STOP the device checks what was written, and refuses when it is
    /// incomplete.
    /// </returns>
    protected abstract Errno Step(MigrationState current, MigrationState next, out MigrationDataFile? file);

    /// <summary>The device was reset or closed: forget what a session under way has saved or taken. Runs under the walk's lock.</summary>
    protected virtual void EndSession()
    {
    }

    private static bool IsSaving(MigrationState state) => state is MigrationState.PreCopy or MigrationState.PreCopyP2P or MigrationState.StopCopy;

    private Errno Walk(MigrationState target, out MigrationDataFile? file, ref MigrationDataFile? ended)
    {
        file = null;
        while (true)
        {
            Errno error = MigrationStateMachine.Next(_state, target, Flags, out MigrationState next);
            if (error != Errno.None || next == _state)
            {
                return error;
            }

            error = Step(_state, next, out MigrationDataFile? opened);
            if (error != Errno.None)
            {
                return error;
            }

            if (!IsSaving(_state) || !IsSaving(next))
            {
                LeaveSession(ref ended);
            }

            _session = opened ?? _session;
            _state = next;
            if (next == target)
            {
                file = opened;
                return Errno.None;
            }
        }
    }

    private void LeaveSession(ref MigrationDataFile? ended)
    {
        if (_session is not null)
        {
            _session.MarkEnded();
            ended = _session;
            _session = null;
        }
    }
}
