using Vfio.Linux;

namespace Vfio.Devices.Serial;

/// <summary>What a port's line is connected to. No byte is lost: the port takes bytes only when it has room, and keeps those that are not taken.</summary>
/// <remarks>
/// <see cref="Read"/>, <see cref="Write"/> and <see cref="IsConnected"/> are called with the device's state lock held: they must not wait, and must
/// not call back. The backend belongs to the port, which disposes it.
/// </remarks>
public interface ISerialBackend : IDisposable
{
    /// <summary>Where the other end is found, for people: <c>pty /dev/pts/3</c>, <c>unix:/run/tty.sock</c>.</summary>
    string Address { get; }

    /// <summary>Whether somebody is at the other end: drives CTS, DSR and DCD.</summary>
    bool IsConnected { get; }

    /// <summary>Begins. Called once, before the first transfer.</summary>
    /// <param name="loop">The host's event loop, for backends that wait for descriptors.</param>
    /// <param name="changed">
    /// To be called from any thread, with no lock of the backend held, whenever bytes have arrived, room has come, or
    /// <see cref="IsConnected"/> has changed. Calling it too often is harmless.
    /// </param>
    void Start(EventLoop loop, Action changed);

    /// <summary>Gets bytes that have arrived.</summary>
    /// <param name="buffer">Receives them.</param>
    /// <returns>How many; 0 when there are none now.</returns>
    int Read(Span<byte> buffer);

    /// <summary>Sends bytes.</summary>
    /// <param name="bytes">The bytes.</param>
    /// <returns>How many were taken; 0 when none can be taken now.</returns>
    int Write(ReadOnlySpan<byte> bytes);
}
