using Vfio.Linux;

namespace Vfio.Devices.Serial;

/// <summary>A pseudo-terminal: any terminal program can open the path in <see cref="Address"/>.</summary>
public sealed class PtyBackend : ISerialBackend
{
    private const EventLoopEvents EdgeTriggered = EventLoopEvents.Read | EventLoopEvents.Write | unchecked((EventLoopEvents)(1U << 31));
    private readonly PseudoTerminal _terminal = new();
    private IDisposable? _registration;

    /// <summary>The path to open.</summary>
    public string Path => _terminal.SlavePath;

    /// <inheritdoc/>
    public string Address => "pty " + _terminal.SlavePath;

    /// <inheritdoc/>
    public bool IsConnected => true;

    /// <inheritdoc/>
    public void Start(EventLoop loop, Action changed)
    {
        ArgumentNullException.ThrowIfNull(loop);
        ArgumentNullException.ThrowIfNull(changed);
        _terminal.Master.TrySetNonBlocking().ThrowIfError("make a pseudo-terminal non-blocking");
        _registration = loop.Register(_terminal.Master, EdgeTriggered, _ => changed());
    }

    /// <inheritdoc/>
    public int Read(Span<byte> buffer) => _terminal.Master.Read(buffer).Count;

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> bytes) => _terminal.Master.Write(bytes).Count;

    /// <inheritdoc/>
    public void Dispose()
    {
        _registration?.Dispose();
        _terminal.Dispose();
    }
}
