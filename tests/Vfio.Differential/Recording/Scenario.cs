namespace Vfio.Differential;

/// <summary>A short sequence of calls that stands alone: it opens what it needs and leaves nothing.</summary>
/// <param name="Name">Its name within its subject, in words with dashes.</param>
/// <param name="Run">The calls.</param>
internal sealed record Scenario(string Name, Action<Session> Run);
