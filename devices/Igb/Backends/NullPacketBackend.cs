namespace Vfio.Devices.Igb;

/// <summary>A link with nobody on it: packets are dropped, and none come.</summary>
public sealed class NullPacketBackend : IPacketBackend
{
    /// <inheritdoc/>
    public bool IsUp => true;

    /// <inheritdoc/>
    public void Start(IPacketSink sink) => ArgumentNullException.ThrowIfNull(sink);

    /// <inheritdoc/>
    public void Send(ReadOnlySpan<byte> frame)
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
