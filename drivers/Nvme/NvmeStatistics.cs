namespace Vfio.Drivers.Nvme;

/// <summary>What happened to a controller since it was opened.</summary>
/// <param name="Aborts">Commands that were late and that the controller was asked to abort.</param>
/// <param name="Resets">Resets of the controller, whoever asked for them.</param>
/// <param name="Replays">Commands that were sent again after a reset.</param>
/// <param name="InvalidCompletions">Completions that belonged to no command, and were dropped.</param>
public readonly record struct NvmeStatistics(long Aborts, long Resets, long Replays, long InvalidCompletions);
