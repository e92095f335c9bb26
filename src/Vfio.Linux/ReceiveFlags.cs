namespace Vfio.Linux;

/// <summary>How <see cref="UnixSocket.Receive"/> waits; the values are those of Linux' <c>MSG_*</c>.</summary>
[Flags]
public enum ReceiveFlags
{
    /// <summary>Waits for at least one byte.</summary>
    None = 0,

    /// <summary>Leaves the bytes in the socket. Descriptors that come with them are not delivered by a peek.</summary>
    Peek = 0x2,

    /// <summary>Answers <see cref="Abi.Errno.EAGAIN"/> instead of waiting.</summary>
    DontWait = 0x40,

    /// <summary>
    /// Waits until the buffer is full. The kernel still returns early at the end of the stream, at a time-out, and behind
    /// bytes that carried descriptors, so the caller continues a short read.
    /// </summary>
    WaitAll = 0x100,
}
