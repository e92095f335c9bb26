using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>The next-state function against the four effective tables of the specification (spec vfio-core §6.2).</summary>
public sealed class MigrationStateMachineTests
{
    private const string States = "ESRCMPQT";

    // Rows and columns in the order S R C M P Q T; '-' where there is no path or the state does not exist.
    [Theory]
    [InlineData(1ul, "SRCM---", "SRSS---", "SSCS---", "SSSM---", "-------", "-------", "-------")]
    [InlineData(3ul, "SPCMP--", "PRPPP--", "SSCSS--", "SSSMS--", "SRSSP--", "-------", "-------")]
    [InlineData(5ul, "SRCM-R-", "SRSS-Q-", "SSCS---", "SSSM-S-", "-------", "RRCR-Q-", "-------")]
    [InlineData(7ul, "SPCMPPP", "PRPPPQP", "SSCSS--", "SSSMSSS", "SRSSPRT", "RRTRRQT", "PPCPPQT")]
    public void Next_every_pair_is_as_tabulated(ulong flags, params string[] rows)
    {
        const string Order = "SRCMPQT";
        for (int row = 0; row < Order.Length; row++)
        {
            for (int column = 0; column < Order.Length; column++)
            {
                MigrationState current = (MigrationState)States.IndexOf(Order[row], StringComparison.Ordinal);
                MigrationState target = (MigrationState)States.IndexOf(Order[column], StringComparison.Ordinal);
                Errno error = MigrationStateMachine.Next(current, target, (MigrationFlags)flags, out MigrationState next);
                char expected = rows[row][column];
                Assert.Equal(expected == '-' ? Errno.EINVAL : Errno.None, error);
                if (expected != '-')
                {
                    Assert.Equal(expected, States[(int)next]);
                }
            }
        }
    }

    [Theory]
    [InlineData(1ul)]
    [InlineData(3ul)]
    [InlineData(5ul)]
    [InlineData(7ul)]
    public void Next_repeated_always_arrives(ulong flags)
    {
        for (MigrationState from = MigrationState.Stop; from <= MigrationState.PreCopyP2P; from++)
        {
            for (MigrationState to = MigrationState.Stop; to <= MigrationState.PreCopyP2P; to++)
            {
                MigrationState at = from;
                int hops = 0;
                while (at != to && MigrationStateMachine.Next(at, to, (MigrationFlags)flags, out MigrationState next) == Errno.None)
                {
                    at = next;
                    Assert.True(++hops <= 4, $"{from} to {to}");
                }

                bool possible = MigrationStateMachine.Next(from, to, (MigrationFlags)flags, out _) == Errno.None;
                Assert.Equal(possible || from == to, at == to);
            }
        }
    }

    [Theory]
    [InlineData(MigrationState.Error, MigrationState.Running)]
    [InlineData(MigrationState.Running, MigrationState.Error)]
    [InlineData(MigrationState.Running, (MigrationState)8)]
    [InlineData((MigrationState)8, MigrationState.Running)]
    [InlineData(MigrationState.Running, (MigrationState)0xabcd)]
    public void Next_error_and_unknown_states_are_EINVAL(MigrationState from, MigrationState to)
        => Assert.Equal(Errno.EINVAL, MigrationStateMachine.Next(from, to, (MigrationFlags)7, out _));
}
