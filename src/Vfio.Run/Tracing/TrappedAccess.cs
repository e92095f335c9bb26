namespace Vfio.Run.Tracing;

/// <summary>What a trapped address means.</summary>
/// <param name="Region">The region it lies in.</param>
/// <param name="Offset">Its offset there, in bytes.</param>
/// <param name="Length">How many bytes from there on are mapped from this region and trapped, at least 1.</param>
internal readonly record struct TrappedAccess(ITrappedRegion Region, ulong Offset, ulong Length);
