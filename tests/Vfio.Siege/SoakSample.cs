namespace Vfio.Siege;

/// <summary>What the server has at one moment, after it has collected its garbage.</summary>
/// <param name="Resident">Resident memory in KiB.</param>
/// <param name="Anonymous">That of it which no file backs: heaps, stacks, what the runtime compiled.</param>
/// <param name="Managed">Managed memory in KiB.</param>
/// <param name="Threads">Threads.</param>
/// <param name="Descriptors">Open descriptors.</param>
internal readonly record struct SoakSample(long Resident, long Anonymous, long Managed, int Threads, int Descriptors);
