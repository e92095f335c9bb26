using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>Random requests to migrate against a model of four lines: where a device can get, what hands out a file, and when a session is over.</summary>
public sealed class MigrationModelTests
{
    [Theory]
    [InlineData(1ul)]
    [InlineData(3ul)]
    [InlineData(5ul)]
    [InlineData(7ul)]
    public void Random_requests_agree_with_a_model(ulong flags) => ModelRun.Check(steps =>
    {
        StreamMigration migration = new(flags);
        MigrationState at = MigrationState.Running;
        MigrationDataFile? session = null;
        foreach (Step step in steps)
        {
            if (step.Kind % 50 == 0)
            {
                migration.Reset();
                Check(MigrationState.Running, isOver: true);
                (at, session) = (MigrationState.Running, null);
                continue;
            }

            if (at == MigrationState.Resuming)
            {
                migration.Feed();
            }

            MigrationState target = (MigrationState)(step.A % 9);
            List<MigrationState> way = Way(at, target, flags);
            MigrationState from = at;
            foreach (MigrationState next in way.Where(next => next != from))
            {
                Assert.True(IsArc(from, next, flags), $"{from} to {next}");
                from = next;
            }

            Errno error = migration.SetState(target, out MigrationDataFile? file);
            Assert.Equal(way.Count > 0 && way[^1] == target ? Errno.None : Errno.EINVAL, error);
            if (error != Errno.None)
            {
                Assert.Null(file);
                Check(at, isOver: session is null);
                continue;
            }

            // A file comes with the last hop, when that begins a session: the way there is never through one.
            MigrationState before = way.Count > 1 ? way[^2] : at;
            bool begins = before != target && (target == MigrationState.Resuming || (IsSaving(target) && !IsSaving(before)));
            Assert.Equal(begins, file is not null);
            bool goesOn = session is not null && (way.TrueForAll(state => IsSaving(state) && IsSaving(at)) || target == at);
            Check(target, isOver: !goesOn);
            (at, session) = (target, file ?? (goesOn ? session : null));
            Assert.Equal(at == MigrationState.Resuming || IsSaving(at), session is not null);
            Assert.False(session?.IsEnded ?? false);
        }

        void Check(MigrationState expected, bool isOver)
        {
            Assert.Equal(Errno.None, migration.GetState(out MigrationState state));
            Assert.Equal(expected, state);
            if (session is not null)
            {
                Assert.Equal(isOver, session.IsEnded);
            }
        }
    });

    private static bool IsSaving(MigrationState state) => state is MigrationState.PreCopy or MigrationState.PreCopyP2P or MigrationState.StopCopy;

    /// <summary>The states of the way, the target included; where it ends too early there is none.</summary>
    private static List<MigrationState> Way(MigrationState from, MigrationState to, ulong flags)
    {
        List<MigrationState> way = [];
        while (MigrationStateMachine.Next(from, to, (MigrationFlags)flags, out MigrationState next) == Errno.None)
        {
            way.Add(next);
            if (next == to)
            {
                break;
            }

            from = next;
        }

        return way;
    }

    /// <summary>The arcs of the user interface's comment, written down by hand.</summary>
    private static bool IsArc(MigrationState from, MigrationState to, ulong flags)
    {
        bool p2p = (flags & 2) != 0;
        bool precopy = (flags & 4) != 0;
        return (from, to) switch
        {
            (MigrationState.Resuming, MigrationState.Stop) or (MigrationState.Stop, MigrationState.Resuming) => true,
            (MigrationState.Stop, MigrationState.StopCopy) or (MigrationState.StopCopy, MigrationState.Stop) => true,
            (MigrationState.Running, MigrationState.Stop) or (MigrationState.Stop, MigrationState.Running) => !p2p,
            (MigrationState.Running, MigrationState.RunningP2P) or (MigrationState.RunningP2P, MigrationState.Running) => p2p,
            (MigrationState.RunningP2P, MigrationState.Stop) or (MigrationState.Stop, MigrationState.RunningP2P) => p2p,
            (MigrationState.Running, MigrationState.PreCopy) or (MigrationState.PreCopy, MigrationState.Running) => precopy,
            (MigrationState.PreCopy, MigrationState.StopCopy) => precopy && !p2p,
            (MigrationState.PreCopy, MigrationState.PreCopyP2P) or (MigrationState.PreCopyP2P, MigrationState.PreCopy) => precopy && p2p,
            (MigrationState.RunningP2P, MigrationState.PreCopyP2P) or (MigrationState.PreCopyP2P, MigrationState.RunningP2P) => precopy && p2p,
            (MigrationState.PreCopyP2P, MigrationState.StopCopy) => precopy && p2p,
            _ => false,
        };
    }
}
