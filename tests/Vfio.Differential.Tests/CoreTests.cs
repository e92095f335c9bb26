using Vfio.TestUtilities;

namespace Vfio.Differential.Tests;

/// <summary>The scenarios on the core, against what a kernel answered (<c>tests/Differential</c>).</summary>
public sealed class CoreTests
{
    private static readonly StoredResults s_stored = StoredResults.Load(Checkout.Root);

    public static TheoryData<string> Scenarios => [.. AllScenarios.Subjects.SelectMany(static subject => subject.Scenarios.Select(scenario => $"{subject.Name}/{scenario.Name}"))];

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void Core_answers_as_the_kernel_or_has_a_reason(string name)
    {
        string[] parts = name.Split('/');
        Subject subject = AllScenarios.Subjects.Single(subject => subject.Name == parts[0]);
        Verdict verdict = Verdict.Of(subject, subject.Scenarios.Single(scenario => scenario.Name == parts[1]), s_stored);
        Assert.True(verdict.Problems.Count == 0, string.Join(Environment.NewLine, verdict.Problems));
    }

    [Fact]
    public void Nothing_is_stored_for_scenarios_that_are_not_there() => Assert.Empty(Verdict.Strays(s_stored));

    [Fact]
    public void Every_reason_is_used()
        => Assert.Empty(s_stored.Reasons.Select(static reason => reason.Key).Except(s_stored.Known.Select(static entry => entry.Reason)));

    [Fact]
    public void Scenarios_have_names_of_their_own() => Assert.Equal(Scenarios.Count, Scenarios.Select(static row => row.Data).Distinct().Count());
}
