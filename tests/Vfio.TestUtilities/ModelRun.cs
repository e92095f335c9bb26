using System.Globalization;
using FsCheck;
using FsCheck.Fluent;

namespace Vfio.TestUtilities;

/// <summary>
/// Random sequences of operations against a naïve model, shrunk to a short one when they disagree. A fixed number with fixed seeds by
/// default; with <c>VFIO_TEST_LONG=1</c> (<c>./check --long</c>) a hundred times as many, each run with new seeds, which a failure prints.
/// </summary>
public static class ModelRun
{
    /// <summary>Whether the long mode is on.</summary>
    public static bool IsLong { get; } = Environment.GetEnvironmentVariable("VFIO_TEST_LONG") == "1";

    /// <summary>The seeds of a run of mutations: 1 to <paramref name="count"/>; a hundred times as many in the long mode, or as many as <c>VFIO_MUTATION_RUNS</c> says.</summary>
    /// <param name="count">How many by default.</param>
    public static IEnumerable<int> Seeds(int count)
        => Enumerable.Range(1, int.TryParse(Environment.GetEnvironmentVariable("VFIO_MUTATION_RUNS"), CultureInfo.InvariantCulture, out int runs) ? runs : IsLong ? 100 * count : count);

    /// <summary>Runs sequences of steps.</summary>
    /// <param name="run">Starts afresh, carries the steps out on both sides, and throws where they differ.</param>
    /// <param name="sequences">How many sequences by default.</param>
    /// <param name="steps">Length of a sequence, at most.</param>
    public static void Check(Action<IReadOnlyList<Step>> run, int sequences = 40, int steps = 200)
    {
        Gen<Step> step =
            from kind in Gen.Choose(0, 999)
            from a in Gen.Choose(0, 1_000_000)
            from b in Gen.Choose(0, 1_000_000)
            from c in Gen.Choose(0, 1_000_000)
            select new Step(kind, a, b, c);
        Config config = Config.QuickThrowOnFailure
            .WithMaxTest(IsLong ? sequences * 100 : sequences)
            .WithStartSize(steps)
            .WithEndSize(steps);
        config = IsLong ? config : config.WithReplay(0x5EED, 0x5EEDUL | 1);
        Prop.ForAll(Arb.From(Gen.ArrayOf(step), Shrink), run).Check(config);
    }

    /// <summary>Leaves out halves, then quarters, and so on down to single steps.</summary>
    private static IEnumerable<Step[]> Shrink(Step[] steps)
    {
        for (int size = steps.Length / 2; size > 0; size /= 2)
        {
            for (int from = 0; from + size <= steps.Length; from += size)
            {
                yield return [.. steps[..from], .. steps[(from + size)..]];
            }
        }
    }
}
