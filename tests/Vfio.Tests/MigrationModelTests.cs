using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>Random requests to migrate against a model of four lines: where a device can get, what hands out a file, and when a session is over.</summary>
public sealed class MigrationModelTests
{
    [Theory]
    [InlineData(1ul, 1)]
    [InlineData(3ul, 2)]
    [InlineData(5ul, 3)]
    [InlineData(7ul, 4)]
    public void Random_requests_agree_with_a_model(ulong flags, int seed)
    {
        Random random = new(seed);
        StreamMigration migration = new(flags);
        MigrationState at = MigrationState.Running;
        MigrationDataFile? session = null;
        for (int i = 0; i < 20_000; i++)
        {
            if (random.Next(50) == 0)
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

            MigrationState target = (MigrationState)random.Next(9);
            List<MigrationState> way = Way(at, target, flags);
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
    }

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
}
