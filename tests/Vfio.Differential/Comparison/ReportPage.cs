using System.Text;

namespace Vfio.Differential;

/// <summary>The page <c>docs/differential.md</c>.</summary>
internal static class ReportPage
{
    /// <summary>Its path from the root of the checkout.</summary>
    public const string Path = "docs/differential.md";

    /// <summary>The page's text.</summary>
    public static string Format(StoredResults stored, IReadOnlyList<Verdict> verdicts)
    {
        var page = new StringBuilder();
        page.Append("# The core against the kernel\n\n")
            .Append("The same calls on the VFIO of a real kernel and on the core, with the same devices, compared field by field. Written by `eng/differential`; `./check` compares.\n")
            .Append("The scenarios are in `tests/Vfio.Differential/Scenarios`, what the kernel answered and why the core differs in `tests/Differential`.\n\n")
            .Append(Summary(stored, verdicts)).Append("\n\n")
            .Append("| subject | scenarios | calls | equal | different |\n|---|---|---|---|---|\n");
        foreach (IGrouping<string, Verdict> subject in verdicts.GroupBy(static verdict => verdict.Subject))
        {
            int different = subject.Count(IsDifferent);
            page.Append($"| {subject.Key} | {subject.Count()} | {subject.Sum(static verdict => verdict.Calls)} | {subject.Count() - different} | {different} |\n");
        }

        page.Append("\n## Differences\n");
        foreach ((string name, string text) in stored.Reasons)
        {
            KnownDifference[] entries = [.. verdicts.SelectMany(static verdict => verdict.Explained).Where(entry => entry.Reason == name)];
            if (entries.Length == 0)
            {
                continue;
            }

            page.Append($"\n### {name}\n\n{text}\n\n| scenario | call | field | kernel | core |\n|---|---|---|---|---|\n");
            foreach (Difference difference in entries.Select(static entry => entry.Difference))
            {
                page.Append($"| {difference.Scenario} | {Call(stored, difference)} | {difference.Field} | {difference.Kernel} | {difference.Core} |\n");
            }
        }

        return page.ToString();
    }

    /// <summary>The page in one line.</summary>
    public static string Summary(StoredResults stored, IReadOnlyList<Verdict> verdicts)
    {
        int different = verdicts.Count(IsDifferent);
        int unexplained = verdicts.Count(static verdict => verdict.Problems.Count > 0);
        return $"Linux {stored.KernelVersion}: {verdicts.Count} scenarios with {verdicts.Sum(static verdict => verdict.Calls)} calls; "
            + $"{verdicts.Count - different - unexplained} equal, {different} different with a reason, {unexplained} with problems.";
    }

    private static bool IsDifferent(Verdict verdict) => verdict.Problems.Count == 0 && verdict.Explained.Count > 0;

    private static string Call(StoredResults stored, Difference difference)
    {
        const int Longest = 110;
        string[] parts = difference.Scenario.Split('/');
        string call = stored.Find(parts[0], parts[1])!.Steps[difference.Step - 1].Operation;
        return $"{difference.Step}: `{(call.Length <= Longest ? call : call[..Longest] + "…")}`";
    }
}
