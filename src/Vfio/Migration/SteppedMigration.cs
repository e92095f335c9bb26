using Vfio.Abi;

namespace Vfio;

/// <summary>Migration for device authors: implements the walk over the states, and leaves one hop at a time to the device.</summary>
public abstract class SteppedMigration : IVfioMigration
{
    private readonly Lock _lock = new();
    private MigrationState _state = MigrationState.Running;

    /// <inheritdoc/>
    public abstract MigrationFlags Flags { get; }

    /// <inheritdoc/>
    public Errno SetState(MigrationState target, out MigrationDataFile? file)
    {
        file = null;
        lock (_lock)
        {
            while (true)
            {
                Errno error = MigrationStateMachine.Next(_state, target, Flags, out MigrationState next);
                if (error != Errno.None)
                {
                    return error;
                }

                if (next == _state)
                {
                    return Errno.None;
                }

                error = Step(_state, next, out MigrationDataFile? opened);
                if (error != Errno.None)
                {
                    return error;
                }

                _state = next;
                if (next == target)
                {
                    file = opened;
                    return Errno.None;
                }
            }
        }
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
        lock (_lock)
        {
            EndSession();
            _state = MigrationState.Running;
        }
    }

    /// <summary>Makes one hop. The state changes only when this succeeds.</summary>
    /// <param name="current">Where the device is.</param>
    /// <param name="next">A neighbouring state.</param>
    /// <param name="file">The data file, when the hop begins a session.</param>
    /// <returns><see cref="Errno.None"/>, or the errno for the user.</returns>
    protected abstract Errno Step(MigrationState current, MigrationState next, out MigrationDataFile? file);

    /// <summary>Ends a session that a reset interrupts.</summary>
    protected virtual void EndSession()
    {
    }
}
