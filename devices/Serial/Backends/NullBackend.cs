using Vfio.Linux;

namespace Vfio.Devices.Serial;

/// <summary>Nothing arrives, and what is sent is dropped.</summary>
public sealed class NullBackend : ISerialBackend
{
    /// <inheritdoc/>
    public string Address => "null";

    /// <inheritdoc/>
    public bool IsConnected => true;

    /// <inheritdoc/>
    public void Start(EventLoop loop, Action changed)
    {
    }

    /// <inheritdoc/>
    public int Read(Span<byte> buffer) => 0;

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> bytes) => bytes.Length;

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
