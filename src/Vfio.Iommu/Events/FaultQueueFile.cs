using System.Runtime.CompilerServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>The file by which a user reads page faults and answers them (spec iommufd §2.17).</summary>
internal sealed class FaultQueueFile(FaultQueue queue) : EventFile(queue)
{
    /// <inheritdoc/>
    public override EventLoopEvents Readiness => EventLoopEvents.Write | (queue.IsReadable ? EventLoopEvents.Read : EventLoopEvents.None);

    /// <inheritdoc/>
    public override IoResult Read(Span<byte> buffer, ulong position)
        => position != 0 || buffer.Length % Unsafe.SizeOf<iommu_hwpt_pgfault>() != 0 ? Errno.ESPIPE : queue.Read(buffer);

    /// <inheritdoc/>
    public override IoResult Write(ReadOnlySpan<byte> buffer, ulong position)
        => position != 0 || buffer.Length % Unsafe.SizeOf<iommu_hwpt_page_response>() != 0 ? Errno.ESPIPE : queue.Write(buffer);
}
