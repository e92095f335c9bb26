using Vfio.Abi;

namespace Vfio;

/// <summary>What a device does to be migrated (<c>vfio_migration_ops</c>).</summary>
/// <remarks>
/// Called without core locks. A device that walks the paths itself uses <see cref="MigrationStateMachine.Next"/> until it is at the
/// target; <see cref="SteppedMigration"/> does that for it.
/// </remarks>
public interface IVfioMigration
{
    /// <summary>What the device can do. Constant.</summary>
    MigrationFlags Flags { get; }

    /// <summary>Goes to a state, over all states on the way, and returns when there.</summary>
    /// <param name="target">The state that the user wants, not checked.</param>
    /// <param name="file">The data file of a session that the last hop began, or null.</param>
    /// <returns><see cref="Errno.None"/>, or an errno: the device may then be anywhere on the way, or in <see cref="MigrationState.Error"/>.</returns>
    /// <remarks><c>migration_set_state</c>; spec vfio-core §6.3.</remarks>
    Errno SetState(MigrationState target, out MigrationDataFile? file);

    /// <summary>Tells the state.</summary>
    /// <param name="state">The state.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    /// <remarks><c>migration_get_state</c>.</remarks>
    Errno GetState(out MigrationState state);

    /// <summary>Estimates how much data a stop-copy would be; valid in every state.</summary>
    /// <param name="length">Bytes.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    /// <remarks><c>migration_get_data_size</c>.</remarks>
    Errno GetDataSize(out ulong length);

    /// <summary>The device was reset or closed: it is in <see cref="MigrationState.Running"/> now and sessions have ended.</summary>
    void Reset();
}
