namespace Vfio.Differential.Tests;

/// <summary>The means of the comparison.</summary>
public sealed class ComparisonTests
{
    private const string Text = """
        [first]
        open(container) = container
        VFIO_GROUP_GET_STATUS(group A, argsz=8) = 0; flags=1; data=

        [second]
        close(container) = 0

        """;

    [Fact]
    public void Transcript_is_read_as_it_was_written() => Assert.Equal(Text, Transcript.Format(Transcript.Parse(Text)));

    [Fact]
    public void Compare_names_result_fields_and_calls_that_differ()
    {
        ScenarioResult kernel = Transcript.Parse("[a]\nx() = 0; flags=1; size=2\ny() = EINVAL\nz() = 0\n")[0];
        ScenarioResult core = Transcript.Parse("[a]\nx() = 0; flags=3\ny() = 0; size=1\n")[0];
        Assert.Equal(
            [
                new Difference("s/a", 1, "flags", "1", "3"),
                new Difference("s/a", 1, "size", "2", "-"),
                new Difference("s/a", 2, "result", "EINVAL", "0"),
                new Difference("s/a", 2, "size", "-", "1"),
                new Difference("s/a", 3, "call", "z()", "-"),
            ],
            ResultComparer.Compare("s", kernel, core));
        Assert.Empty(ResultComparer.Compare("s", kernel, kernel));
    }

    [Fact]
    public void Known_difference_is_read_as_it_was_written()
    {
        KnownDifference known = new(new Difference("s/a", 1, "flags", "1", "3"), "why");
        Assert.Equal(known, KnownDifference.Parse(known.ToString()));
    }

    [Fact]
    public void Scenario_that_throws_is_a_result()
    {
        ScenarioResult result = ScenarioRunner.Run(new Scenario("bad", static _ => throw new InvalidOperationException("no")), static () => new CoreSystem());
        Assert.Equal("the scenario = InvalidOperationException: no", Assert.Single(result.Steps).ToString());
    }
}
