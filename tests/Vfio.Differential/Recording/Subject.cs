namespace Vfio.Differential;

/// <summary>Scenarios about one thing; their results are one file.</summary>
/// <param name="Name">Its name, which is the file's.</param>
/// <param name="Scenarios">The scenarios, in order.</param>
internal sealed record Subject(string Name, IReadOnlyList<Scenario> Scenarios);
