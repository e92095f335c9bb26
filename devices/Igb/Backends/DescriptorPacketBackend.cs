using Vfio.Linux;

namespace Vfio.Devices.Igb;

/// <summary>A descriptor that reads and writes one frame at a time: a TAP interface, or a packet socket.</summary>
public sealed class DescriptorPacketBackend : IPacketBackend
{
    /// <summary>Frames that are read before the loop looks around again.</summary>
    private const int Batch = 64;
    private readonly FileDescriptor _descriptor;
    private readonly EventLoop _loop = new("vfio packets");
    private readonly byte[] _frame = new byte[65536];
    private IPacketSink? _sink;

    private DescriptorPacketBackend(FileDescriptor descriptor) => _descriptor = descriptor;

    /// <inheritdoc/>
    public bool IsUp => true;

    /// <summary>Opens a TAP interface, and makes it when it is not there.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The backend.</returns>
    /// <exception cref="LinuxException">It cannot be opened: EPERM without the right to, EBUSY when somebody has it.</exception>
    public static DescriptorPacketBackend OpenTap(string name)
    {
        PacketSocket.TryOpenTap(name, out FileDescriptor? descriptor).ThrowIfError($"open the TAP interface '{name}'");
        return new DescriptorPacketBackend(descriptor!);
    }

    /// <summary>Opens the packets of an interface.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The backend.</returns>
    /// <exception cref="LinuxException">It cannot be opened: EPERM without CAP_NET_RAW, ENODEV when it is not there.</exception>
    public static DescriptorPacketBackend OpenInterface(string name)
    {
        PacketSocket.TryOpenInterface(name, out FileDescriptor? descriptor).ThrowIfError($"open the packets of interface '{name}'");
        return new DescriptorPacketBackend(descriptor!);
    }

    /// <inheritdoc/>
    public void Start(IPacketSink sink)
    {
        ArgumentNullException.ThrowIfNull(sink);
        _sink = sink;
        _ = _loop.Register(_descriptor, EventLoopEvents.Read, Read);
    }

    /// <inheritdoc/>
    public void Send(ReadOnlySpan<byte> frame) => _ = _descriptor.Write(frame);

    /// <inheritdoc/>
    public void Dispose()
    {
        _loop.Dispose();
        _descriptor.Dispose();
    }

    private void Read(EventLoopEvents events)
    {
        for (int i = 0; i < Batch; i++)
        {
            IoResult result = _descriptor.Read(_frame);
            if (result.IsError || result.Count == 0)
            {
                return;
            }

            _sink!.Receive(_frame.AsSpan(0, (int)result.Count));
        }
    }
}
