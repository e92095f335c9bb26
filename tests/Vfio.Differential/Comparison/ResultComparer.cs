namespace Vfio.Differential;

/// <summary>Compares what a kernel and the core answered to one scenario, field by field.</summary>
internal static class ResultComparer
{
    private const string Absent = "-";

    /// <summary>The differences, in order.</summary>
    /// <param name="subject">The subject's name.</param>
    /// <param name="kernel">The kernel's answers.</param>
    /// <param name="core">The core's.</param>
    public static IReadOnlyList<Difference> Compare(string subject, ScenarioResult kernel, ScenarioResult core)
    {
        string scenario = $"{subject}/{kernel.Name}";
        List<Difference> differences = [];
        for (int i = 0; i < Math.Max(kernel.Steps.Count, core.Steps.Count); i++)
        {
            TranscriptStep? left = i < kernel.Steps.Count ? kernel.Steps[i] : null;
            TranscriptStep? right = i < core.Steps.Count ? core.Steps[i] : null;
            if (left is null || right is null || left.Operation != right.Operation)
            {
                differences.Add(new Difference(scenario, i + 1, "call", left?.Operation ?? Absent, right?.Operation ?? Absent));
                continue;
            }

            if (left.Result != right.Result)
            {
                differences.Add(new Difference(scenario, i + 1, "result", left.Result, right.Result));
            }

            foreach (string field in left.Fields.Concat(right.Fields).Select(static field => field.Key).Distinct())
            {
                string kernelValue = Value(left, field);
                string coreValue = Value(right, field);
                if (kernelValue != coreValue)
                {
                    differences.Add(new Difference(scenario, i + 1, field, kernelValue, coreValue));
                }
            }
        }

        return differences;
    }

    private static string Value(TranscriptStep step, string field)
    {
        string? value = step.Fields.Where(pair => pair.Key == field).Select(static pair => pair.Value).FirstOrDefault();
        return string.IsNullOrEmpty(value) ? value is null ? Absent : "nothing" : value;
    }
}
