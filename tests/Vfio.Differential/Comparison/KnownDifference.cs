namespace Vfio.Differential;

/// <summary>A difference that is there for a reason.</summary>
/// <param name="Difference">The difference.</param>
/// <param name="Reason">The reason's name in <c>reasons.txt</c>.</param>
internal sealed record KnownDifference(Difference Difference, string Reason)
{
    /// <summary>Reads a line of <c>different.txt</c>: the fields of the difference and the reason, separated by tabs.</summary>
    public static KnownDifference Parse(string line)
        => line.Split('\t') is [string scenario, string step, string field, string kernel, string core, string reason]
            ? new KnownDifference(new Difference(scenario, int.Parse(step, System.Globalization.CultureInfo.InvariantCulture), field, kernel, core), reason)
            : throw new FormatException($"Not a known difference: {line}");

    /// <summary>The line.</summary>
    public override string ToString() => string.Join('\t', Difference.Scenario, Difference.Step, Difference.Field, Difference.Kernel, Difference.Core, Reason);
}
