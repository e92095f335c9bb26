namespace Vfio.Devices.Igb;

/// <summary>Takes packets that an <see cref="IPacketBackend"/> receives.</summary>
public interface IPacketSink
{
    /// <summary>Takes a packet, or drops and counts it. Does not wait; from any thread.</summary>
    /// <param name="frame">The packet, valid during the call.</param>
    void Receive(ReadOnlySpan<byte> frame);

    /// <summary>Says that <see cref="IPacketBackend.IsUp"/> may have changed; from any thread.</summary>
    void LinkChanged();
}
