namespace Vfio.Tool.Tests;

/// <summary>How a run of the tool ended.</summary>
/// <param name="Status">Its exit status.</param>
/// <param name="Output">Standard output.</param>
/// <param name="Error">Standard error.</param>
internal sealed record ToolResult(int Status, string Output, string Error)
{
    /// <summary>The lines of standard output.</summary>
    public string[] Lines => Output.TrimEnd('\n').Split('\n');

    /// <summary>Says that it succeeded and had nothing to complain about.</summary>
    public ToolResult ShouldSucceed()
    {
        Assert.True(Status == 0, $"status {Status}: {Error}");
        Assert.Equal(string.Empty, Error);
        return this;
    }

    /// <summary>Says that it failed with this status and one line on standard error that has all of these texts, and printed nothing else.</summary>
    public void ShouldFail(int status, params string[] texts)
    {
        Assert.True(Status == status, $"status {Status} instead of {status}: {Output}{Error}");
        Assert.Equal(string.Empty, Output);
        string line = Assert.Single(Error.TrimEnd('\n').Split('\n'), static line => !line.StartsWith("Try: ", StringComparison.Ordinal));
        Assert.StartsWith("vfio: ", line, StringComparison.Ordinal);
        Assert.All(texts, text => Assert.Contains(text, line, StringComparison.Ordinal));
    }
}
