namespace Vfio.Devices.Igb;

/// <summary>A plug that connects a controller with itself: what is sent comes back.</summary>
public sealed class LoopbackPacketBackend : IPacketBackend
{
    private IPacketSink? _sink;

    /// <inheritdoc/>
    public bool IsUp => true;

    /// <inheritdoc/>
    public void Start(IPacketSink sink)
    {
        ArgumentNullException.ThrowIfNull(sink);
        _sink = sink;
    }

    /// <inheritdoc/>
    public void Send(ReadOnlySpan<byte> frame) => _sink?.Receive(frame);

    /// <inheritdoc/>
    public void Dispose() => _sink = null;
}
