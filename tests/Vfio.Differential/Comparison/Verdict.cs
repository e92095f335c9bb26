namespace Vfio.Differential;

/// <summary>What comparing a scenario gave.</summary>
/// <param name="Subject">The subject's name.</param>
/// <param name="Scenario">The scenario's name.</param>
/// <param name="Calls">How many calls it makes.</param>
/// <param name="Explained">Differences with their reasons.</param>
/// <param name="Problems">What is wrong: differences without a reason, known ones that are not there any more, results that are not stored.</param>
internal sealed record Verdict(string Subject, string Scenario, int Calls, IReadOnlyList<KnownDifference> Explained, IReadOnlyList<string> Problems)
{
    /// <summary>Runs a scenario on the core and compares it with what is stored.</summary>
    public static Verdict Of(Subject subject, Scenario scenario, StoredResults stored)
    {
        ScenarioResult core = ScenarioRunner.Run(scenario, static () => new CoreSystem());
        string name = $"{subject.Name}/{scenario.Name}";
        if (stored.Find(subject.Name, scenario.Name) is not { } kernel)
        {
            return new Verdict(subject.Name, scenario.Name, core.Steps.Count, [], [$"{name} has no stored result; run it on the kernel: eng/differential --kernel"]);
        }

        IReadOnlyList<Difference> differences = ResultComparer.Compare(subject.Name, kernel, core);
        KnownDifference[] known = [.. stored.Known.Where(entry => entry.Difference.Scenario == name)];
        List<string> problems = [];
        foreach (Difference difference in differences.Where(difference => !known.Any(entry => entry.Difference == difference)))
        {
            TranscriptStep? step = difference.Step <= kernel.Steps.Count ? kernel.Steps[difference.Step - 1] : null;
            problems.Add($"{difference}{Environment.NewLine}    {step?.Operation}{Environment.NewLine}    a reason would be given by: {new KnownDifference(difference, "REASON")}");
        }

        foreach (KnownDifference entry in known)
        {
            if (!differences.Contains(entry.Difference))
            {
                problems.Add($"{entry.Difference}: not any more; take it out of tests/Differential/different.txt");
            }

            if (stored.Reasons.All(reason => reason.Key != entry.Reason))
            {
                problems.Add($"{entry.Difference}: the reason {entry.Reason} is not in tests/Differential/reasons.txt");
            }
        }

        return new Verdict(subject.Name, scenario.Name, kernel.Steps.Count, [.. known.Where(entry => differences.Contains(entry.Difference))], problems);
    }

    /// <summary>What stands in <c>tests/Differential</c> for scenarios that are not there.</summary>
    public static IReadOnlyList<string> Strays(StoredResults stored)
    {
        HashSet<string> names = [.. AllScenarios.Subjects.SelectMany(static subject => subject.Scenarios.Select(scenario => $"{subject.Name}/{scenario.Name}"))];
        return
        [
            .. stored.Subjects.SelectMany(subject => stored.Of(subject).Select(result => $"{subject}/{result.Name}"))
                .Concat(stored.Known.Select(static entry => entry.Difference.Scenario))
                .Where(name => !names.Contains(name))
                .Distinct()
                .Select(static name => $"{name} is stored, and is no scenario"),
        ];
    }
}
