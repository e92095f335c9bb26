using System.Text;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Descriptors that read and write one Ethernet frame at a time: TAP interfaces, and packet sockets on interfaces. They do not block.</summary>
public static class PacketSocket
{
    private const uint TunSetInterface = 0x4004_54CA;
    private const uint GetInterfaceIndex = 0x8933;
    private const int RequestLength = 40;
    private const int NameLength = 16;
    private const int FlagsAt = 16;

    /// <summary>IFF_TAP | IFF_NO_PI.</summary>
    private const ushort TapFlags = 0x1002;
    private const int AllProtocols = 3;

    /// <summary>Opens a TAP interface, and makes it when it is not there (<c>/dev/net/tun</c>).</summary>
    /// <param name="name">Its name, 1 to 15 bytes.</param>
    /// <param name="tap">The descriptor after success.</param>
    /// <returns>EPERM without the right to, EBUSY when somebody has it open, EINVAL for a name that none can have.</returns>
    public static Errno TryOpenTap(string name, out FileDescriptor? tap)
    {
        tap = null;
        Span<byte> request = stackalloc byte[RequestLength];
        if (!TryName(name, request))
        {
            return Errno.EINVAL;
        }

        Errno error = FileDescriptor.TryOpen("/dev/net/tun", OpenMode.ReadWrite | OpenMode.NonBlocking, out FileDescriptor? opened);
        if (error != Errno.None)
        {
            return error;
        }

        BitConverter.TryWriteBytes(request[FlagsAt..], TapFlags);
        IoResult result = opened!.Ioctl(TunSetInterface, request);
        if (result.IsError)
        {
            opened.Dispose();
            return result.Error;
        }

        tap = opened;
        return Errno.None;
    }

    /// <summary>Opens the packets of an interface: all that it receives, and what is written is sent by it (<c>packet(7)</c>).</summary>
    /// <param name="name">Its name, 1 to 15 bytes.</param>
    /// <param name="socket">The descriptor after success.</param>
    /// <returns>EPERM without CAP_NET_RAW, ENODEV when there is no such interface, EINVAL for a name that none can have.</returns>
    public static unsafe Errno TryOpenInterface(string name, out FileDescriptor? socket)
    {
        socket = null;
        Span<byte> request = stackalloc byte[RequestLength];
        if (!TryName(name, request))
        {
            return Errno.EINVAL;
        }

        // Protocol 0 receives nothing until the socket is bound to its interface.
        int fd = Interop.Socket(Interop.AddressFamilyPacket, Interop.SocketRaw | Interop.SocketCloseOnExec | Interop.OpenNonBlocking, 0);
        if (fd < 0)
        {
            return Interop.LastError;
        }

        var opened = new FileDescriptor(fd, ownsHandle: true);
        Errno error = opened.Ioctl(GetInterfaceIndex, request) is { IsError: true } result ? result.Error : Errno.None;
        if (error == Errno.None)
        {
            int on = 1;
            Interop.LinkAddress address = new()
            {
                Family = Interop.AddressFamilyPacket,
                Protocol = AllProtocols << 8,
                Interface = BitConverter.ToInt32(request[FlagsAt..]),
            };
            Interop.PacketMembership promiscuous = new() { Interface = address.Interface, Type = 1 };

            // SAFETY: all pointers are to locals, with the lengths that are passed along. What the interface itself sends is not wanted.
            _ = Interop.SetSocketOption(opened, Interop.LevelPacket, Interop.OptionPacketIgnoreOutgoing, &on, sizeof(int));
            _ = Interop.SetSocketOption(opened, Interop.LevelPacket, Interop.OptionPacketAddMembership, &promiscuous, (uint)sizeof(Interop.PacketMembership));
            error = Interop.ToErrno(Interop.Bind(opened, &address, (uint)sizeof(Interop.LinkAddress)));
        }

        if (error != Errno.None)
        {
            opened.Dispose();
            return error;
        }

        socket = opened;
        return Errno.None;
    }

    private static bool TryName(string name, Span<byte> request)
    {
        ArgumentNullException.ThrowIfNull(name);
        request.Clear();
        return name.Length != 0 && Encoding.UTF8.GetByteCount(name) < NameLength && Encoding.UTF8.GetBytes(name, request) != 0;
    }
}
