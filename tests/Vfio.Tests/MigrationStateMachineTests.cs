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
    public void Case164_every_pair_is_as_tabulated(ulong flags, params string[] rows)
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

    /// <summary>
    /// The table again, from the rules behind it: a shortest way over the arcs that a device must have, never through a saving state or
    /// RESUMING, and none into a saving session from its end.
    /// </summary>
    [Theory]
    [InlineData(1ul)]
    [InlineData(3ul)]
    [InlineData(5ul)]
    [InlineData(7ul)]
    public void Next_walks_only_arcs_that_a_device_has(ulong flags)
    {
        string arcs = flags switch
        {
            1 => "SM MS SC CS RS SR",
            3 => "SM MS SC CS RP PR PS SP",
            5 => "SM MS SC CS RS SR RQ QR QC",
            _ => "SM MS SC CS RP PR PS SP RQ QR QT TQ PT TP TC",
        };
        for (MigrationState from = MigrationState.Stop; from <= MigrationState.PreCopyP2P; from++)
        {
            for (MigrationState to = MigrationState.Stop; to <= MigrationState.PreCopyP2P; to++)
            {
                if (from == to || MigrationStateMachine.Next(from, to, (MigrationFlags)flags, out MigrationState next) != Errno.None)
                {
                    continue;
                }

                Assert.Contains($"{States[(int)from]}{States[(int)next]}", arcs, StringComparison.Ordinal);
                Assert.False(next != to && next is (MigrationState.StopCopy or MigrationState.Resuming), $"{from} to {to} goes through {next}");
            }
        }
    }

    [Fact]
    public void Case165_states_that_the_device_does_not_have()
    {
        Assert.Equal(Errno.EINVAL, MigrationStateMachine.Next(MigrationState.Running, MigrationState.PreCopy, (MigrationFlags)3, out _));
        Assert.Equal(Errno.EINVAL, MigrationStateMachine.Next(MigrationState.Running, (MigrationState)8, (MigrationFlags)3, out _));
        Assert.Equal(Errno.EINVAL, MigrationStateMachine.Next(MigrationState.Running, MigrationState.Error, (MigrationFlags)3, out _));
    }

    [Theory]
    [InlineData(1ul)]
    [InlineData(3ul)]
    [InlineData(5ul)]
    [InlineData(7ul)]
    public void Case166_nothing_leads_out_of_error(ulong flags)
    {
        for (MigrationState to = MigrationState.Error; to <= MigrationState.PreCopyP2P; to++)
        {
            Assert.Equal(Errno.EINVAL, MigrationStateMachine.Next(MigrationState.Error, to, (MigrationFlags)flags, out _));
        }
    }

    [Fact]
    public void Case167_longest_ways()
    {
        Assert.Equal([MigrationState.Running, MigrationState.RunningP2P, MigrationState.Stop, MigrationState.Resuming], Walk(MigrationState.PreCopy, MigrationState.Resuming));
        Assert.Equal([MigrationState.Stop, MigrationState.RunningP2P, MigrationState.Running, MigrationState.PreCopy], Walk(MigrationState.Resuming, MigrationState.PreCopy));
        Assert.Equal([MigrationState.Running, MigrationState.RunningP2P, MigrationState.Stop], Walk(MigrationState.PreCopy, MigrationState.Stop));

        static List<MigrationState> Walk(MigrationState from, MigrationState to)
        {
            List<MigrationState> states = [];
            while (from != to)
            {
                Assert.Equal(Errno.None, MigrationStateMachine.Next(from, to, (MigrationFlags)7, out from));
                states.Add(from);
            }

            return states;
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
