using Vfio.Abi;

namespace Vfio;

/// <summary>The paths between migration states (<c>vfio_mig_get_next_state</c>, spec vfio-core §6.2).</summary>
public static class MigrationStateMachine
{
    private const int StateCount = 8;
    private const MigrationState E = MigrationState.Error;
    private const MigrationState S = MigrationState.Stop;
    private const MigrationState R = MigrationState.Running;
    private const MigrationState C = MigrationState.StopCopy;
    private const MigrationState M = MigrationState.Resuming;
    private const MigrationState P = MigrationState.RunningP2P;
    private const MigrationState Q = MigrationState.PreCopy;
    private const MigrationState T = MigrationState.PreCopyP2P;

    // Row: current state; column: target. The first hop when every optional state is there; E where there is no path.
    private static ReadOnlySpan<MigrationState> Hops =>
    [
        E, E, E, E, E, E, E, E, // Error
        E, S, P, C, M, P, P, P, // Stop
        E, P, R, P, P, P, Q, P, // Running
        E, S, S, C, S, S, E, E, // StopCopy
        E, S, S, S, M, S, S, S, // Resuming
        E, S, R, S, S, P, R, T, // RunningP2P
        E, R, R, T, R, R, Q, T, // PreCopy
        E, P, P, C, P, P, Q, T, // PreCopyP2P
    ];

    /// <summary>Finds the next state on the way to a target.</summary>
    /// <param name="current">Where the device is.</param>
    /// <param name="target">Where it shall go.</param>
    /// <param name="flags">What the device can do.</param>
    /// <param name="next">The state to go to now; equal to <paramref name="target"/> on the last hop.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> for a state that the device does not have and a path that does not exist.</returns>
    public static Errno Next(MigrationState current, MigrationState target, MigrationFlags flags, out MigrationState next)
    {
        next = MigrationState.Error;
        if (!Supports(current, flags) || !Supports(target, flags))
        {
            return Errno.EINVAL;
        }

        next = current;
        do
        {
            next = Hops[((int)next * StateCount) + (int)target];
        }
        while (next != MigrationState.Error && !Supports(next, flags));

        return next == MigrationState.Error ? Errno.EINVAL : Errno.None;
    }

    /// <summary>Whether a device has a state. <see cref="MigrationState.Error"/> is neither a start nor a target of a path.</summary>
    /// <param name="state">The state.</param>
    /// <param name="flags">What the device can do.</param>
    /// <returns>True when it has.</returns>
    public static bool Supports(MigrationState state, MigrationFlags flags)
    {
        MigrationFlags? needed = state switch
        {
            MigrationState.Stop or MigrationState.Running or MigrationState.StopCopy or MigrationState.Resuming => MigrationFlags.StopCopy,
            MigrationState.RunningP2P => MigrationFlags.StopCopy | MigrationFlags.P2P,
            MigrationState.PreCopy => MigrationFlags.StopCopy | MigrationFlags.PreCopy,
            MigrationState.PreCopyP2P => MigrationFlags.StopCopy | MigrationFlags.P2P | MigrationFlags.PreCopy,
            _ => null,
        };
        return needed is { } bits && (flags & bits) == bits;
    }
}
