using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Testing;

/// <summary>A client of a vfio-user server that can send anything: for tests of servers, and of devices behind them, by the wire.</summary>
public sealed class RawVfioUserClient : VfioUserPeer
{
    /// <summary>What QEMU's client proposes, in 193 bytes with the terminating NUL.</summary>
    public const string QemuCapabilities =
        """{"capabilities":{"migration":{"max_bitmap_size":268435456,"pgsize":4096},"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":65535,"pgsizes":4096,"write_multiple":true}}""";

    private const int AccessSize = 16;

    /// <summary>Uses a connected socket; nothing is sent.</summary>
    /// <param name="socket">The socket; owned from now on.</param>
    /// <param name="timeout">How long it waits for anything; five seconds if not given.</param>
    public RawVfioUserClient(UnixSocket socket, TimeSpan? timeout = null)
        : base(socket, timeout)
    {
    }

    /// <summary>Connects to a server; nothing is sent.</summary>
    /// <param name="path">The server's socket.</param>
    /// <param name="timeout">How long it waits for anything; five seconds if not given.</param>
    /// <returns>The client.</returns>
    /// <exception cref="VfioException">Nobody listens there.</exception>
    public static RawVfioUserClient Connect(string path, TimeSpan? timeout = null)
    {
        VfioException.ThrowIfError(UnixSocket.TryConnect(path, out UnixSocket? socket), $"connect to {path}");
        return new RawVfioUserClient(socket!, timeout);
    }

    /// <summary>Connects and negotiates; the reply must be a success.</summary>
    /// <param name="path">The server's socket.</param>
    /// <param name="json">The capabilities to propose; null for no JSON at all.</param>
    /// <param name="timeout">How long it waits for anything; five seconds if not given.</param>
    /// <returns>The client.</returns>
    /// <exception cref="VfioException">Nobody listens there, or the server refused.</exception>
    public static RawVfioUserClient Open(string path, string? json = """{"capabilities":{"max_msg_fds":16}}""", TimeSpan? timeout = null)
    {
        RawVfioUserClient client = Connect(path, timeout);
        try
        {
            using VfioUserMessage reply = client.Negotiate(json);
            VfioException.ThrowIfError(reply.Error, $"negotiate with {path}");
            return client;
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>Puts the payload of a VERSION message together.</summary>
    /// <param name="major">The major version.</param>
    /// <param name="minor">The minor version.</param>
    /// <param name="json">The capabilities, to which a NUL is added; null for no JSON at all.</param>
    /// <returns>The payload.</returns>
    public static byte[] VersionPayload(ushort major, ushort minor, string? json)
    {
        byte[] text = json is null ? [] : Encoding.UTF8.GetBytes(json + "\0");
        byte[] payload = new byte[4 + text.Length];
        BinaryPrimitives.WriteUInt16LittleEndian(payload, major);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(2), minor);
        text.CopyTo(payload.AsSpan(4));
        return payload;
    }

    /// <summary>Sends VERSION 0.<paramref name="minor"/> and waits for the reply, whatever it is.</summary>
    /// <param name="json">The capabilities; null for no JSON at all.</param>
    /// <param name="minor">The minor version.</param>
    /// <returns>The reply.</returns>
    public VfioUserMessage Negotiate(string? json, ushort minor = 2) => Request(VfioUserCommand.Version, VersionPayload(0, minor, json));

    /// <summary>Sends a command and waits for the next message, which must be its reply.</summary>
    /// <param name="command">The command.</param>
    /// <param name="payload">Its payload.</param>
    /// <param name="descriptors">Its descriptors; they stay the caller's.</param>
    /// <returns>The reply, which may be an error.</returns>
    /// <exception cref="InvalidDataException">Another message came.</exception>
    public VfioUserMessage Request(VfioUserCommand command, ReadOnlySpan<byte> payload = default, params ReadOnlySpan<FileDescriptor> descriptors)
    {
        ushort id = Send(command, payload, descriptors);
        return ReceiveReply(id, command);
    }

    /// <summary>Sends a command whose payload is a structure, and waits for its reply.</summary>
    /// <typeparam name="T">The structure.</typeparam>
    /// <param name="command">The command.</param>
    /// <param name="value">Its payload.</param>
    /// <param name="descriptors">Its descriptors; they stay the caller's.</param>
    /// <returns>The reply, which may be an error.</returns>
    public VfioUserMessage Request<T>(VfioUserCommand command, in T value, params ReadOnlySpan<FileDescriptor> descriptors)
        where T : unmanaged
        => Request(command, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)), descriptors);

    /// <summary>Waits for the next message, which must be a certain reply.</summary>
    /// <param name="id">The command's id.</param>
    /// <param name="command">The command.</param>
    /// <returns>The reply, which may be an error.</returns>
    /// <exception cref="InvalidDataException">Another message came.</exception>
    public VfioUserMessage ReceiveReply(ushort id, VfioUserCommand command)
    {
        VfioUserMessage reply = ReceiveMessage();
        if (!reply.IsReply || reply.Id != id || reply.Command != command)
        {
            string what = reply.ToString();
            reply.Dispose();
            throw new InvalidDataException($"The reply to {command} id {id} was expected, but there came: {what}.");
        }

        return reply;
    }

    /// <summary>Reads a region.</summary>
    /// <param name="region">The region.</param>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="count">How many bytes.</param>
    /// <returns>The bytes.</returns>
    /// <exception cref="VfioException">The server refused.</exception>
    public byte[] ReadRegion(uint region, ulong offset, int count)
    {
        using VfioUserMessage reply = Request(
            VfioUserCommand.RegionRead, new vfio_user_region_access { offset = offset, region = region, count = (uint)count });
        VfioException.ThrowIfError(reply.Error, $"read {count} bytes at 0x{offset:x} of region {region}");
        return reply.Payload[AccessSize..];
    }

    /// <summary>Writes a region.</summary>
    /// <param name="region">The region.</param>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="data">The bytes.</param>
    /// <returns>What the server answered.</returns>
    public Errno WriteRegion(uint region, ulong offset, ReadOnlySpan<byte> data)
    {
        using VfioUserMessage reply = Request(VfioUserCommand.RegionWrite, AccessPayload(region, offset, data));
        return reply.Error;
    }

    /// <summary>Puts the payload of a REGION_WRITE together.</summary>
    /// <param name="region">The region.</param>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="data">The bytes.</param>
    /// <returns>The payload.</returns>
    public static byte[] AccessPayload(uint region, ulong offset, ReadOnlySpan<byte> data)
    {
        byte[] payload = new byte[AccessSize + data.Length];
        MemoryMarshal.Write(payload, new vfio_user_region_access { offset = offset, region = region, count = (uint)data.Length });
        data.CopyTo(payload.AsSpan(AccessSize));
        return payload;
    }

    /// <summary>Maps memory for DMA, readable and writeable.</summary>
    /// <param name="address">The address for the device.</param>
    /// <param name="size">Length in bytes.</param>
    /// <param name="memory">The memory; null for message mode.</param>
    /// <param name="offset">Where it starts in the descriptor.</param>
    /// <returns>What the server answered.</returns>
    public Errno MapDma(ulong address, ulong size, FileDescriptor? memory = null, ulong offset = 0)
    {
        vfio_user_dma_map map = new()
        {
            argsz = (uint)Marshal.SizeOf<vfio_user_dma_map>(),
            flags = (uint)(VfioUserDmaMapFlags.Readable | VfioUserDmaMapFlags.Writeable),
            fd_offset = offset,
            address = address,
            size = size,
        };
        using VfioUserMessage reply = memory is null ? Request(VfioUserCommand.DmaMap, in map) : Request(VfioUserCommand.DmaMap, in map, memory);
        return reply.Error;
    }

    /// <summary>Unmaps memory.</summary>
    /// <param name="address">The address.</param>
    /// <param name="size">Length in bytes.</param>
    /// <param name="flags">The flags of the request.</param>
    /// <returns>What the server answered.</returns>
    public Errno UnmapDma(ulong address, ulong size, VfioUserDmaUnmapFlags flags = 0)
    {
        vfio_user_dma_unmap unmap = new()
        {
            argsz = (uint)Marshal.SizeOf<vfio_user_dma_unmap>(),
            flags = (uint)flags,
            address = address,
            size = size,
        };
        using VfioUserMessage reply = Request(VfioUserCommand.DmaUnmap, in unmap);
        return reply.Error;
    }

    /// <summary>Sends SET_IRQS.</summary>
    /// <param name="index">The interrupt index, not checked.</param>
    /// <param name="flags">Data and action.</param>
    /// <param name="start">First interrupt.</param>
    /// <param name="count">How many.</param>
    /// <param name="data">What follows the structure.</param>
    /// <param name="eventFds">Descriptors; they stay the caller's.</param>
    /// <returns>What the server answered.</returns>
    public Errno SetIrqs(uint index, IrqSetFlags flags, uint start, uint count, ReadOnlySpan<byte> data = default, params ReadOnlySpan<FileDescriptor> eventFds)
    {
        const int Size = 20;
        byte[] payload = new byte[Size + data.Length];
        MemoryMarshal.Write(payload, new vfio_irq_set { argsz = (uint)payload.Length, flags = (uint)flags, index = index, start = start, count = count });
        data.CopyTo(payload.AsSpan(Size));
        using VfioUserMessage reply = Request(VfioUserCommand.DeviceSetIrqs, payload, eventFds);
        return reply.Error;
    }
}
