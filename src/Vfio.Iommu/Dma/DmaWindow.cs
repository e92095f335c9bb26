namespace Vfio.Iommu;

/// <summary>
/// Direct access to mapped memory for the length of a few statements: an unmap waits until the window is disposed. Costs no system
/// call, no allocation and no notification.
/// </summary>
/// <remarks>Hold it briefly and do nothing that waits. For longer use a <see cref="DmaPin"/>.</remarks>
public ref struct DmaWindow : IDisposable
{
    private readonly TransferGate? _gate;
    private DmaSpace? _writer;
    private ulong _iova;

    internal DmaWindow(TransferGate gate, Span<byte> memory)
    {
        _gate = gate;
        Span = memory;
    }

    /// <summary>The memory, shared with whoever mapped it.</summary>
    public readonly Span<byte> Span { get; }

    /// <summary>Closes the window. Call it exactly once.</summary>
    public readonly void Dispose()
    {
        _writer?.Log(_iova, Span.Length);
        _gate?.Exit();
    }

    /// <summary>A device writes through the window: that is logged when it closes.</summary>
    internal void BelongTo(DmaSpace writer, ulong iova)
    {
        _writer = writer;
        _iova = iova;
    }
}
