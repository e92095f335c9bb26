using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>A connection to a device of a vfio-user server: ours, libvfio-user's, SPDK's.</summary>
/// <remarks>
/// <para>
/// Members may be called from several threads; their requests share the socket and do not wait for each other. A read or write of a
/// register allocates nothing. Requests that were refused or timed out leave the connection usable; when the server has gone, everything
/// answers <see cref="Errno.ENOTCONN"/>, and when it broke the protocol, <see cref="Errno.EPROTO"/>.
/// </para>
/// <para>
/// The server is not trusted: what it says about itself is bounded, its descriptors are checked before they are mapped, and it reaches
/// only memory that was mapped for it (spec vfio-user §6, threats 43 to 45).
/// </para>
/// </remarks>
public sealed partial class VfioUserConnection : VfioConnection
{
    private const int HeaderSize = VfioUserWire.HeaderSize;
    private const int AccessSize = 16;
    private const uint ConfigRegion = (uint)PciRegion.Config;
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(1);
    private readonly VfioUserClientOptions _options;
    private readonly UnixSocket _socket;
    private readonly ClientChannel _channel;
    private readonly IommufdContext _context;
    private readonly Ioas _ioas;
    private readonly IommufdAccess _access;
    private UnixSocket? _twin;
    private Thread? _twinThread;
    private int _transfer;
    private int _disposed;

    private VfioUserConnection(string address, UnixSocket socket, VfioUserClientOptions options, IommufdContext context, Ioas ioas, IommufdAccess access)
        : base(address)
    {
        _socket = socket;
        _options = options;
        _context = context;
        _ioas = ioas;
        _access = access;
        MessageWriter writer = new(socket);
        _channel = new ClientChannel(
            socket,
            writer,
            new ReverseService(access, writer, options.MaximumDataTransferSize),
            MaximumMessage,
            Limit(options.NegotiationTimeout));
    }

    /// <summary>What the server announced.</summary>
    public VfioUserCapabilities ServerCapabilities { get; private set; }

    /// <summary>The minor version that both sides speak; the major version is 0.</summary>
    public int MinorVersion { get; private set; }

    /// <summary>Whether the server's own requests use a socket of their own.</summary>
    public bool HasTwinSocket => _twin is not null;

    /// <summary>Whether requests can be made: false once the server has gone or broke the protocol.</summary>
    public bool IsConnected => _channel.Failure == Errno.None;

    /// <inheritdoc/>
    protected override FileDescriptor? HangUpDescriptor => _socket.Descriptor;

    /// <summary>Replies and requests: the largest data message, or the longest description of a region.</summary>
    private int MaximumMessage => HeaderSize + Math.Max(MaximumDescription, 64 + (int)_options.MaximumDataTransferSize);

    /// <summary>Connects to a server by its socket.</summary>
    /// <param name="path">The socket's path.</param>
    /// <param name="options">How the server is treated; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <returns>The connection; the caller disposes it.</returns>
    /// <exception cref="VfioException">There is no server, it does not speak vfio-user, or it described its device beyond all bounds.</exception>
    /// <exception cref="OperationCanceledException">The attempt was ended.</exception>
    public static async Task<VfioUserConnection> ConnectAsync(string path, VfioUserClientOptions? options = null, CancellationToken cancellationToken = default)
        => await Task.Run(() => Connect(path, options, cancellationToken), cancellationToken).ConfigureAwait(false);

    /// <summary>Connects to a server by its socket, on this thread.</summary>
    /// <param name="path">The socket's path.</param>
    /// <param name="options">How the server is treated; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <returns>The connection; the caller disposes it.</returns>
    /// <exception cref="VfioException">As for <see cref="ConnectAsync"/>.</exception>
    /// <exception cref="OperationCanceledException">The attempt was ended.</exception>
    public static VfioUserConnection Connect(string path, VfioUserClientOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        string address = $"unix:{path}";
        Errno error = UnixSocket.TryConnect(path, out UnixSocket? socket, Limit((options ?? new VfioUserClientOptions()).NegotiationTimeout));
        VfioException.ThrowIfError(error, $"open {address}", error switch
        {
            Errno.ENOENT => "Nothing is there: is the server running, and is this its --socket-path?",
            Errno.ECONNREFUSED => "Nobody listens there: the server has ended without removing its socket.",
            Errno.EACCES => "The socket belongs to another user: run as that user, or have the server allow this one.",
            Errno.ENAMETOOLONG => "A socket path has at most 107 bytes.",
            Errno.EINVAL => "The path of a socket is expected behind unix:.",
            Errno.EAGAIN => "The server accepts nobody: another client has the device, and others wait already.",
            _ => null,
        });
        return Open(address, socket!, options, cancellationToken);
    }

    /// <summary>Uses a socket that is connected to a server already.</summary>
    /// <param name="socket">The socket; the connection owns it, also when this fails.</param>
    /// <param name="options">How the server is treated; null for the defaults.</param>
    /// <returns>The connection; the caller disposes it.</returns>
    /// <exception cref="VfioException">As for <see cref="ConnectAsync"/>.</exception>
    public static VfioUserConnection Connect(FileDescriptor socket, VfioUserClientOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(socket);
        return Open($"unix:descriptor {socket.Number}", new UnixSocket(socket), options, default);
    }

    /// <inheritdoc/>
    public override Errno TryRead(uint region, ulong offset, Span<byte> buffer)
    {
        if (!IsInside(region, offset, buffer.Length))
        {
            return Errno.EINVAL;
        }

        Span<byte> message = stackalloc byte[HeaderSize + AccessSize];
        Span<byte> echo = stackalloc byte[AccessSize];
        while (!buffer.IsEmpty)
        {
            int count = Math.Min(buffer.Length, _transfer);
            MemoryMarshal.Write(message[HeaderSize..], new vfio_user_region_access { offset = offset, region = region, count = (uint)count });
            Errno error = _channel.Exchange(VfioUserCommand.RegionRead, message, default, default, echo, buffer[..count], out int length);
            if (error != Errno.None)
            {
                return error;
            }

            if (length != AccessSize + count || MemoryMarshal.Read<vfio_user_region_access>(echo).count != (uint)count)
            {
                return Errno.EPROTO;
            }

            buffer = buffer[count..];
            offset += (ulong)count;
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    public override Errno TryWrite(uint region, ulong offset, ReadOnlySpan<byte> buffer)
    {
        if (!IsInside(region, offset, buffer.Length))
        {
            return Errno.EINVAL;
        }

        Span<byte> message = stackalloc byte[HeaderSize + AccessSize];
        Span<byte> echo = stackalloc byte[AccessSize];
        bool posted = _options.PostedWrites && region < (uint)PciRegion.Rom;
        while (!buffer.IsEmpty)
        {
            int count = Math.Min(buffer.Length, _transfer);
            MemoryMarshal.Write(message[HeaderSize..], new vfio_user_region_access { offset = offset, region = region, count = (uint)count });
            Errno error;
            if (posted)
            {
                error = _channel.Post(VfioUserCommand.RegionWrite, message, buffer[..count]);
            }
            else
            {
                error = _channel.Exchange(VfioUserCommand.RegionWrite, message, buffer[..count], default, echo, default, out int length);
                if (error == Errno.None && (length < AccessSize || MemoryMarshal.Read<vfio_user_region_access>(echo).count != (uint)count))
                {
                    error = Errno.EPROTO;
                }
            }

            if (error != Errno.None)
            {
                return error;
            }

            buffer = buffer[count..];
            offset += (ulong)count;
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    public override Errno TryReset()
    {
        Span<byte> message = stackalloc byte[HeaderSize];
        return _channel.Exchange(VfioUserCommand.DeviceReset, message, default, default, default, default, out _);
    }

    /// <inheritdoc/>
    /// <remarks>More descriptors than the server takes with a message are sent in several; when one of those fails, what the earlier ones set is taken away.</remarks>
    public override IoResult TrySetIrqs(
        PciInterrupt index,
        IrqSetFlags flags,
        uint start,
        uint count,
        ReadOnlySpan<FileDescriptor> eventFds = default,
        ReadOnlySpan<byte> bools = default)
    {
        if (eventFds.IsEmpty)
        {
            return SetIrqs(index, flags, start, count, default, bools);
        }

        int limit = Math.Min(ServerCapabilities.MaxMessageFds, DescriptorList.Capacity);
        if ((uint)eventFds.Length != count || (flags & IrqSetFlags.DataEventFd) == 0)
        {
            return Errno.EINVAL;
        }

        if (limit == 0)
        {
            return Errno.EMFILE; // The server takes no descriptors at all.
        }

        for (int done = 0; done < eventFds.Length; done += limit)
        {
            int piece = Math.Min(limit, eventFds.Length - done);
            Errno error = SetIrqs(index, flags, start + (uint)done, (uint)piece, eventFds.Slice(done, piece), default);
            if (error != Errno.None)
            {
                if (done > 0)
                {
                    _ = SetIrqs(index, flags, start, (uint)done, default, default);
                }

                return error;
            }
        }

        return IoResult.Success();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _channel.Dispose();
            _twin?.Shutdown();
            _twinThread?.Join();
            _twin?.Dispose();
            _socket.Dispose();
            foreach (FileDescriptor? memory in _regionMemory)
            {
                memory?.Dispose();
            }

            _access.Destroy();
            _context.Dispose();
        }

        base.Dispose(disposing);
    }

    private static VfioUserConnection Open(string address, UnixSocket socket, VfioUserClientOptions? options, CancellationToken cancellationToken)
    {
        options ??= new VfioUserClientOptions();
        VfioUserConnection? connection = null;
        IommufdContext? context = null;
        bool ready = false;
        try
        {
            Validate(options);
            context = new IommufdContext();
            VfioException.ThrowIfError(context.AllocateIoas(out Ioas? ioas), $"open {address}");
            VfioException.ThrowIfError(context.CreateAccess(null, out IommufdAccess? access), $"open {address}");
            VfioException.ThrowIfError(access!.AttachOrReplace(ioas!.Id), $"open {address}");
            connection = new VfioUserConnection(address, socket, options, context, ioas, access);
            using CancellationTokenRegistration cancel = cancellationToken.UnsafeRegister(static state => ((UnixSocket)state!).Shutdown(), socket);
            connection.Negotiate();
            connection.Describe();
            ready = true;
            return connection;
        }
        catch (VfioException exception) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException($"Opening {address} was cancelled.", exception, cancellationToken);
        }
        finally
        {
            // What did not become a connection that can answer is given back, whatever the failure was.
            if (connection is null)
            {
                context?.Dispose();
                socket.Dispose();
            }
            else if (!ready)
            {
                connection.Dispose();
            }
        }
    }

    private static void Validate(VfioUserClientOptions options)
    {
        const uint MaximumTransfer = 64 << 20;
        ArgumentOutOfRangeException.ThrowIfZero(options.MaximumDataTransferSize, nameof(options));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.MaximumDataTransferSize, MaximumTransfer, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegative(options.MaximumMessageFds, nameof(options));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.MaximumMessageFds, DescriptorList.Capacity, nameof(options));
    }

    private static TimeSpan Limit(TimeSpan time) => time < TimeSpan.Zero || time > s_longest ? s_longest : time;

    private Errno SetIrqs(PciInterrupt index, IrqSetFlags flags, uint start, uint count, ReadOnlySpan<FileDescriptor> eventFds, ReadOnlySpan<byte> bools)
    {
        const int Size = 20;
        Span<byte> message = stackalloc byte[HeaderSize + Size];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_irq_set
        {
            argsz = (uint)(Size + bools.Length),
            flags = (uint)flags,
            index = (uint)index,
            start = start,
            count = count,
        });
        return _channel.Exchange(VfioUserCommand.DeviceSetIrqs, message, bools, eventFds, default, default, out _);
    }
}
