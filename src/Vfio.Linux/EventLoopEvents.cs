namespace Vfio.Linux;

/// <summary>Readiness of a descriptor; the values are those of <c>EPOLL*</c> and, as far as they exist there, <c>POLL*</c>.</summary>
[Flags]
public enum EventLoopEvents
{
    /// <summary>Only <see cref="Error"/> and <see cref="HangUp"/>, which are always reported.</summary>
    None = 0,

    /// <summary>There is something to read, or the end of the stream.</summary>
    Read = 0x1,

    /// <summary>Out-of-band data.</summary>
    Priority = 0x2,

    /// <summary>A write would not wait.</summary>
    Write = 0x4,

    /// <summary>The descriptor is in error; for the writing end of a pipe or a VFIO file: the other side is gone.</summary>
    Error = 0x8,

    /// <summary>Both directions are closed.</summary>
    HangUp = 0x10,

    /// <summary>From <see cref="Poll"/> only: the descriptor is not open.</summary>
    Invalid = 0x20,

    /// <summary>The peer of a stream socket has closed its writing direction.</summary>
    PeerClosed = 0x2000,
}
