namespace Vfio.Iommu;

/// <summary>
/// Direct access to mapped memory for the length of a few statements: an unmap waits until the window is disposed. Costs no system
/// call, no allocation and no notification.
/// </summary>
/// <remarks>Hold it briefly and do nothing that waits. For longer use a <see cref="DmaPin"/>.</remarks>
public readonly ref struct DmaWindow : IDisposable
{
    private readonly TransferGate? _gate;

    internal DmaWindow(TransferGate gate, Span<byte> memory)
    {
        _gate = gate;
        Span = memory;
    }

    /// <summary>The memory, shared with whoever mapped it.</summary>
    public Span<byte> Span { get; }

    /// <summary>Closes the window. Call it exactly once.</summary>
    public void Dispose() => _gate?.Exit();
}
