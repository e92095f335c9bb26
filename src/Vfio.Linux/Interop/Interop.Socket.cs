using System.Runtime.InteropServices;

namespace Vfio.Linux;

internal static partial class Interop
{
    internal const int AddressFamilyUnix = 1;
    internal const int AddressFamilyInternet = 2;
    internal const int AddressFamilyInternet6 = 10;
    internal const int AddressFamilyPacket = 17;
    internal const int SocketStream = 1;
    internal const int SocketRaw = 3;
    internal const int SocketCloseOnExec = OpenCloseOnExec;
    internal const int LevelSocket = 1;
    internal const int LevelTcp = 6;
    internal const int LevelPacket = 263;
    internal const int OptionPacketAddMembership = 1;
    internal const int OptionPacketIgnoreOutgoing = 23;
    internal const int OptionNoDelay = 1;
    internal const int OptionKeepAlive = 9;
    internal const int OptionType = 3;
    internal const int OptionDomain = 39;
    internal const int OptionSendBuffer = 7;
    internal const int OptionReceiveBuffer = 8;
    internal const int OptionPeerCredentials = 17;
    internal const int OptionAcceptsConnections = 30;
    internal const int OptionReceiveTimeout = 20;
    internal const int OptionSendTimeout = 21;
    internal const int ControlRights = 1;
    internal const int MessageControlTruncated = 0x8;
    internal const int MessageNoSignal = 0x4000;
    internal const int MessageControlCloseOnExec = 0x40000000;
    internal const int ShutdownBoth = 2;

    /// <summary>Room for the path in <c>struct sockaddr_un</c>, the terminating NUL included.</summary>
    internal const int UnixPathSize = 108;

    [LibraryImport(LibC, EntryPoint = "socket", SetLastError = true)]
    internal static partial int Socket(int family, int type, int protocol);

    [LibraryImport(LibC, EntryPoint = "socketpair", SetLastError = true)]
    internal static unsafe partial int SocketPair(int family, int type, int protocol, int* pair);

    [LibraryImport(LibC, EntryPoint = "bind", SetLastError = true)]
    internal static unsafe partial int Bind(FileDescriptor socket, void* address, uint length);

    [LibraryImport(LibC, EntryPoint = "listen", SetLastError = true)]
    internal static partial int Listen(FileDescriptor socket, int backlog);

    [LibraryImport(LibC, EntryPoint = "accept4", SetLastError = true)]
    internal static unsafe partial int Accept(FileDescriptor socket, void* address, uint* length, int flags);

    [LibraryImport(LibC, EntryPoint = "connect", SetLastError = true)]
    internal static unsafe partial int Connect(FileDescriptor socket, void* address, uint length);

    [LibraryImport(LibC, EntryPoint = "getpeername", SetLastError = true)]
    internal static unsafe partial int GetPeerName(FileDescriptor socket, void* address, uint* length);

    [LibraryImport(LibC, EntryPoint = "shutdown", SetLastError = true)]
    internal static partial int Shutdown(FileDescriptor socket, int how);

    [LibraryImport(LibC, EntryPoint = "geteuid")]
    internal static partial uint GetEffectiveUserId();

    [LibraryImport(LibC, EntryPoint = "getsockopt", SetLastError = true)]
    internal static unsafe partial int GetSocketOption(FileDescriptor socket, int level, int option, void* value, uint* length);

    [LibraryImport(LibC, EntryPoint = "setsockopt", SetLastError = true)]
    internal static unsafe partial int SetSocketOption(FileDescriptor socket, int level, int option, void* value, uint length);

    [LibraryImport(LibC, EntryPoint = "recv", SetLastError = true)]
    internal static unsafe partial nint Receive(FileDescriptor socket, void* buffer, nuint length, int flags);

    [LibraryImport(LibC, EntryPoint = "recvmsg", SetLastError = true)]
    internal static unsafe partial nint ReceiveMessage(FileDescriptor socket, MessageHeader* message, int flags);

    [LibraryImport(LibC, EntryPoint = "sendmsg", SetLastError = true)]
    internal static unsafe partial nint SendMessage(FileDescriptor socket, MessageHeader* message, int flags);

    [LibraryImport(LibC, EntryPoint = "send", SetLastError = true)]
    internal static unsafe partial nint Send(FileDescriptor socket, void* data, nuint length, int flags);

    /// <summary><c>struct msghdr</c> of the C library.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct MessageHeader
    {
        internal void* Name;
        internal uint NameLength;
        internal IoVector* Vectors;
        internal nuint VectorCount;
        internal void* Control;
        internal nuint ControlLength;
        internal int Flags;
    }

    /// <summary><c>struct cmsghdr</c>; its data follow directly.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ControlHeader
    {
        internal nuint Length;
        internal int Level;
        internal int Type;
    }

    /// <summary><c>struct sockaddr_ll</c>.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 20)]
    internal struct LinkAddress
    {
        internal ushort Family;
        internal ushort Protocol;
        internal int Interface;
    }

    /// <summary><c>struct packet_mreq</c>.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 16)]
    internal struct PacketMembership
    {
        internal int Interface;
        internal ushort Type;
    }

    /// <summary><c>struct timeval</c> of a 64-bit system.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct TimeValue
    {
        internal nint Seconds;
        internal nint Microseconds;
    }

    /// <summary><c>struct ucred</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Credentials
    {
        internal int ProcessId;
        internal uint UserId;
        internal uint GroupId;
    }
}
