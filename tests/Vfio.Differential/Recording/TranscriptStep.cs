namespace Vfio.Differential;

/// <summary>One call of a scenario and what came of it.</summary>
/// <param name="Operation">The call with its arguments.</param>
/// <param name="Result">The value, or the error's name.</param>
/// <param name="Fields">What the call changed in the caller's memory: names and values.</param>
internal sealed record TranscriptStep(string Operation, string Result, IReadOnlyList<KeyValuePair<string, string>> Fields)
{
    private const string ResultMark = " = ";
    private const string FieldMark = "; ";

    /// <summary>Reads what <see cref="ToString"/> wrote.</summary>
    public static TranscriptStep Parse(string line)
    {
        int mark = line.IndexOf(ResultMark, StringComparison.Ordinal);
        if (mark < 0)
        {
            throw new FormatException($"Not a step: {line}");
        }

        string[] parts = line[(mark + ResultMark.Length)..].Split(FieldMark);
        return new TranscriptStep(line[..mark], parts[0], [.. parts.Skip(1).Select(static part => Field(part))]);
    }

    /// <summary>One line: <c>operation = result; field=value; …</c></summary>
    public override string ToString()
        => string.Concat([Operation, ResultMark, Result, .. Fields.Select(static field => $"{FieldMark}{field.Key}={field.Value}")]);

    private static KeyValuePair<string, string> Field(string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        return new KeyValuePair<string, string>(text[..equals], text[(equals + 1)..]);
    }
}
