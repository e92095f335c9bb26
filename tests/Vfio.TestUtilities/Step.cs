namespace Vfio.TestUtilities;

/// <summary>One step of a <see cref="ModelRun"/>: numbers, which the run gives a meaning.</summary>
/// <param name="Kind">Which operation: 0 to 999.</param>
/// <param name="A">A number from 0 to a million, as the others.</param>
/// <param name="B">A number.</param>
/// <param name="C">A number.</param>
public readonly record struct Step(int Kind, int A, int B, int C);
