using System.Runtime.CompilerServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>The file by which a user reads a virtual IOMMU's events (spec iommufd §2.21).</summary>
internal sealed class VirtualEventFile(VirtualEventQueue queue) : EventFile(queue)
{
    /// <inheritdoc/>
    public override EventLoopEvents Readiness => queue.IsReadable ? EventLoopEvents.Read : EventLoopEvents.None;

    /// <inheritdoc/>
    public override IoResult Read(Span<byte> buffer, ulong position)
        => position != 0 ? Errno.ESPIPE
            : buffer.Length < Unsafe.SizeOf<iommufd_vevent_header>() ? Errno.EINVAL
            : queue.Read(buffer);
}
