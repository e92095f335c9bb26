using Vfio.Abi;

namespace Vfio.Run.Tracing;

/// <summary>A region of a device whose accesses are trapped. Called by the tracer's thread, one access at a time for all threads of a program.</summary>
internal interface ITrappedRegion
{
    /// <summary>Reads from the device, in one access of this width.</summary>
    /// <param name="offset">Offset in the region, in bytes.</param>
    /// <param name="data">1, 2, 4 or 8 bytes at a naturally aligned offset; filled after success.</param>
    /// <returns>An error becomes SIGBUS in the program, as the kernel answers while the memory of the device is disabled.</returns>
    Errno Read(ulong offset, Span<byte> data);

    /// <summary>Writes to the device, in one access of this width.</summary>
    /// <param name="offset">Offset in the region, in bytes.</param>
    /// <param name="data">As with <see cref="Read"/>; or 64 bytes at once, from a direct store (movdir64b, enqcmd).</param>
    /// <returns>As with <see cref="Read"/>.</returns>
    Errno Write(ulong offset, ReadOnlySpan<byte> data);
}
