namespace Vfio.Qemu.Tests.Harness;

/// <summary>A BAR that the harness has given an address.</summary>
/// <param name="Index">0 to 5.</param>
/// <param name="Address">Where it is, in memory or in port space.</param>
/// <param name="Size">In bytes, a power of two.</param>
/// <param name="IsPort">Whether it is in port space.</param>
/// <param name="Is64Bit">Whether it takes two registers.</param>
/// <param name="IsPrefetchable">Whether it is marked so.</param>
public sealed record QtestBar(int Index, ulong Address, ulong Size, bool IsPort, bool Is64Bit, bool IsPrefetchable);
