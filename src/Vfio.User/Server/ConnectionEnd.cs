namespace Vfio.User;

/// <summary>Why a client's connection ended.</summary>
public enum ConnectionEnd
{
    /// <summary>It has not.</summary>
    None,

    /// <summary>The client closed it.</summary>
    ClientClosed,

    /// <summary>Receiving failed.</summary>
    ReceiveFailed,

    /// <summary>Sending failed, or the client did not take its replies in time.</summary>
    SendFailed,

    /// <summary>The client did not finish a message, or did not begin the negotiation, in time.</summary>
    TimedOut,

    /// <summary>The negotiation failed.</summary>
    NegotiationFailed,

    /// <summary>The client broke the protocol beyond repair.</summary>
    ProtocolError,

    /// <summary>The device could not be opened for it.</summary>
    DeviceUnavailable,

    /// <summary>The device was unregistered.</summary>
    DeviceWithdrawn,

    /// <summary>The device's own code failed.</summary>
    DeviceFailed,

    /// <summary>The server was stopped.</summary>
    ServerStopped,
}
