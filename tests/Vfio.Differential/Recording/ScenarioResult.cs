namespace Vfio.Differential;

/// <summary>What came of a scenario.</summary>
/// <param name="Name">The scenario's name.</param>
/// <param name="Steps">Its calls.</param>
internal sealed record ScenarioResult(string Name, IReadOnlyList<TranscriptStep> Steps);
