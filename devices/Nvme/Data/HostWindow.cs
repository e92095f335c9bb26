using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>Direct access to the host's memory on a <see cref="HostLane"/>. Dispose it exactly once.</summary>
internal readonly ref struct HostWindow(DmaWindow window, HostLane lane)
{
    private readonly DmaWindow _window = window;

    /// <summary>The memory, which the host may change meanwhile.</summary>
    public Span<byte> Span => _window.Span;

    public void Dispose()
    {
        _window.Dispose();
        lane.End();
    }
}
