namespace Vfio.Iommu;

/// <summary>
/// Direct access to mapped memory for the length of a few statements: an unmap waits until the window is disposed. Costs no system
/// call, no allocation and no notification.
/// </summary>
/// <remarks>Hold it briefly and do nothing that waits. For longer use a <see cref="DmaPin"/>.</remarks>
public readonly ref struct DmaWindow : IDisposable
{
    private readonly TransferGate? _gate;
    private readonly DmaSpace? _writer;
    private readonly ulong _iova;

    internal DmaWindow(TransferGate gate, Span<byte> memory)
    {
        _gate = gate;
        Span = memory;
    }

    /// <summary>A window through which a device writes: what it writes is logged when it closes.</summary>
    internal DmaWindow(DmaWindow window, DmaSpace writer, ulong iova)
    {
        _gate = window._gate;
        _writer = writer;
        _iova = iova;
        Span = window.Span;
    }

    /// <summary>The memory, shared with whoever mapped it.</summary>
    public Span<byte> Span { get; }

    /// <summary>Closes the window. Call it exactly once.</summary>
    public void Dispose()
    {
        _writer?.Log(_iova, Span.Length);
        _gate?.Exit();
    }
}
