using System.Text;

namespace Vfio.Differential;

/// <summary>Results as text: a file a subject, a paragraph a scenario, a line a call.</summary>
internal static class Transcript
{
    /// <summary>Writes a subject's results.</summary>
    public static string Format(IEnumerable<ScenarioResult> results)
    {
        var text = new StringBuilder();
        foreach (ScenarioResult result in results)
        {
            text.Append(text.Length == 0 ? "" : "\n").Append('[').Append(result.Name).Append("]\n");
            foreach (TranscriptStep step in result.Steps)
            {
                text.Append(step).Append('\n');
            }
        }

        return text.ToString();
    }

    /// <summary>Reads what <see cref="Format"/> wrote.</summary>
    /// <exception cref="FormatException">It did not.</exception>
    public static IReadOnlyList<ScenarioResult> Parse(string text)
    {
        List<ScenarioResult> results = [];
        List<TranscriptStep> steps = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line[0] == '[' && line[^1] == ']')
            {
                steps = [];
                results.Add(new ScenarioResult(line[1..^1], steps));
            }
            else
            {
                steps.Add(TranscriptStep.Parse(line));
            }
        }

        return results;
    }
}
