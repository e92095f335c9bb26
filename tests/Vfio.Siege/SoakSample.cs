namespace Vfio.Siege;

/// <summary>What the server has at one moment.</summary>
/// <param name="Resident">Resident memory in KiB.</param>
/// <param name="Managed">Managed memory in KiB, garbage included.</param>
/// <param name="Threads">Threads.</param>
/// <param name="Descriptors">Open descriptors.</param>
internal readonly record struct SoakSample(long Resident, long Managed, int Threads, int Descriptors);
