namespace Vfio;

/// <summary>How much a device in pre-copy has to tell (<c>vfio_precopy_info</c>).</summary>
/// <param name="InitialBytes">Bytes of the initial state still to be read.</param>
/// <param name="DirtyBytes">Bytes that changed since they were read.</param>
/// <param name="IsReinitialized">
/// Whether the device has begun a new initial state, for example as its configuration changed, so that <paramref name="InitialBytes"/> has
/// grown. Told only to users that opted in by feature 12 (version 2); others just see the numbers.
/// </param>
public readonly record struct PrecopyInfo(ulong InitialBytes, ulong DirtyBytes, bool IsReinitialized = false);
