using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>A declared doorbell and, once the device lives, its eventfd.</summary>
internal sealed class PciDoorbell
{
    public required int Bar { get; init; }

    public required ulong Offset { get; init; }

    /// <summary>1, 2, 4, 8; 0 for any.</summary>
    public required int Width { get; init; }

    public required ulong? DataMatch { get; init; }

    public required Action<ulong?> Callback { get; init; }

    public EventFd? EventFd { get; set; }

    public DeferredCall? Ring { get; set; }

    public IDisposable? Registration { get; set; }
}
