namespace Vfio.Devices.Igb;

/// <summary>What is on the other side of a network controller's cable: where its packets go, and where those that it receives come from.</summary>
/// <remarks>A packet is an Ethernet frame from its destination address to the end of its payload, without CRC: 14 to 9728 bytes, VLAN tags included.</remarks>
public interface IPacketBackend : IDisposable
{
    /// <summary>Whether there is a link.</summary>
    bool IsUp { get; }

    /// <summary>Begins to receive. Called once.</summary>
    /// <param name="sink">Gets the packets, from any thread.</param>
    /// <exception cref="Vfio.Linux.LinuxException">What the backend stands for is not there or cannot be used.</exception>
    void Start(IPacketSink sink);

    /// <summary>The device receives from now on, or once more: software has enabled it. By default nothing is done.</summary>
    /// <remarks>Called by the device's work, with no lock held.</remarks>
    void StartReceiving()
    {
    }

    /// <summary>Takes a packet. Must not wait: what has no room is dropped. Not called concurrently with itself.</summary>
    /// <param name="frame">The packet, valid during the call.</param>
    void Send(ReadOnlySpan<byte> frame);
}
