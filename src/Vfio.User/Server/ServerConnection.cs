using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>One client of a server: its socket, and the device file it acts on.</summary>
/// <remarks>
/// A thread of its own runs <see cref="Run"/> and blocks in the kernel; everything here belongs to that thread unless it says
/// otherwise. Handlers report failures as values; the path of a region access allocates nothing.
/// </remarks>
internal sealed partial class ServerConnection : IDisposable
{
    private const int HeaderSize = VfioUserWire.HeaderSize;
    private readonly VfioHost _host;
    private readonly string _deviceName;
    private readonly VfioUserServerOptions _options;
    private readonly ILogger _logger;
    private readonly UnixSocket _socket;
    private readonly MessageReader _reader;
    private readonly MessageWriter _writer;
    private readonly Queue<QueuedCommand> _queued = new();

    // A leaf: the connection ends on its own thread while others end it too.
    private readonly Lock _socketLock = new();
    private readonly RegionInfo[] _regions = new RegionInfo[PciLayout.RegionCount];
    private VfioUserCapabilities _client;
    private VfioDeviceFile? _file;
    private IommufdContext? _context;
    private Ioas? _ioas;
    private ReverseChannel? _reverse;
    private UnixSocket? _twin;
    private Thread? _thread;
    private VfioUserHeader _current;
    private DescriptorList _descriptors;
    private bool _replied;
    private bool _negotiated;
    private bool _handling;
    private bool _bufferLeft;
    private bool _disposed;
    private int _queuedBytes;
    private volatile bool _closing;
    private volatile ConnectionEnd _end;

    public ServerConnection(VfioHost host, string deviceName, UnixSocket socket, VfioUserServerOptions options, ILogger logger)
    {
        _host = host;
        _deviceName = deviceName;
        _socket = socket;
        _options = options;
        _logger = logger;
        _reader = new MessageReader(socket, MaximumMessage);
        _writer = new MessageWriter(socket);
        _descriptors = _reader.Descriptors;
        socket.SetSendTimeout(options.MessageTimeout);
    }

    /// <summary>Why the connection ended.</summary>
    public ConnectionEnd End => _end;

    private int MaximumMessage => HeaderSize + 16 + (int)_options.MaximumDataTransferSize;

    private bool OnOwnThread => Thread.CurrentThread == _thread;

    /// <summary>Serves the client until it goes or is sent away, and closes the device. Never throws. The socket stays open until <see cref="Dispose"/>.</summary>
    public void Run()
    {
        _thread = Thread.CurrentThread;
        try
        {
            Serve();
        }
#pragma warning disable CA1031 // The author's device code runs here: its failure ends this connection, not the process.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            Finish(ConnectionEnd.DeviceFailed);
            LogDeviceFailed(_deviceName, exception);
        }
        finally
        {
            try
            {
                Close();
            }
#pragma warning disable CA1031 // As above: an exception that leaves this thread would end the process.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                LogDeviceFailed(_deviceName, exception);
            }
        }
    }

    /// <summary>Ends the connection from any thread: the client sees the end of the stream.</summary>
    public void Shutdown(ConnectionEnd why)
    {
        Finish(why);
        lock (_socketLock)
        {
            if (!_disposed)
            {
                _socket.Shutdown();
            }
        }
    }

    /// <summary>Whether the client has hung up already, though it may not have been noticed here. From any thread.</summary>
    public bool HasPeerGone()
    {
        PollRequest request = new(_socket.Descriptor, EventLoopEvents.PeerClosed);
        IoResult ready;
        lock (_socketLock)
        {
            if (_disposed)
            {
                return true;
            }

            ready = Poll.Wait(MemoryMarshal.CreateSpan(ref request, 1), 0);
        }

        return ready.IsError || (request.Ready & (EventLoopEvents.PeerClosed | EventLoopEvents.HangUp)) != 0;
    }

    public void Dispose()
    {
        lock (_socketLock)
        {
            _disposed = true;
            _socket.Dispose();
        }

        _reader.Dispose();
        _reverse?.Dispose();
        _twin?.Dispose();
        _intxTrigger?.Dispose();
        _intxUnmask?.Dispose();
    }

    private void Serve()
    {
        Errno error = OpenDevice();
        if (error != Errno.None)
        {
            LogDeviceNotOpened(_deviceName, error);
            Finish(ConnectionEnd.DeviceUnavailable);
            return;
        }

        long connected = _host.TimeProvider.GetTimestamp();
        long messageStarted = 0;
        while (!_closing)
        {
            if (ProcessArrived())
            {
                messageStarted = 0;
            }

            _writer.Flush();
            if (_closing || _writer.Failure != Errno.None)
            {
                Finish(ConnectionEnd.SendFailed);
                return;
            }

            TimeSpan? limit = null;
            if (!_negotiated)
            {
                limit = _options.NegotiationTimeout - _host.TimeProvider.GetElapsedTime(connected);
            }

            if (_reader.HasPartialMessage)
            {
                messageStarted = messageStarted == 0 ? _host.TimeProvider.GetTimestamp() : messageStarted;
                TimeSpan left = _options.MessageTimeout - _host.TimeProvider.GetElapsedTime(messageStarted);
                limit = limit < left ? limit : left;
            }

            if (!Receive(limit))
            {
                return;
            }
        }
    }

    /// <summary>Waits for input within a limit and takes it in.</summary>
    /// <returns>False when the connection has ended.</returns>
    private bool Receive(TimeSpan? limit)
    {
        if (_options.BusyPoll != TimeSpan.Zero && ReceiveBusily(limit) is { } alive)
        {
            return alive;
        }

        if (limit is { } time)
        {
            int milliseconds = (int)Math.Clamp(time.TotalMilliseconds, 0, int.MaxValue);
            IoResult ready = Poll.Wait(_socket.Descriptor, EventLoopEvents.Read, milliseconds);
            if (ready.IsError || ready.Value == 0)
            {
                LogTimeout(_deviceName);
                Finish(ConnectionEnd.TimedOut);
                return false;
            }
        }

        return TakeIn(_reader.Fill(ReceiveFlags.None));
    }

    /// <summary>Looks for input without sleeping, for as long as the options say and the limit allows.</summary>
    /// <returns>As <see cref="Receive"/>; null when nothing came.</returns>
    private bool? ReceiveBusily(TimeSpan? limit)
    {
        TimeSpan longest = _options.BusyPoll == Timeout.InfiniteTimeSpan || limit < _options.BusyPoll ? limit ?? TimeSpan.MaxValue : _options.BusyPoll;
        long started = Stopwatch.GetTimestamp();
        do
        {
            IoResult received = _reader.Fill(ReceiveFlags.DontWait);
            if (received.Error != Errno.EAGAIN)
            {
                return TakeIn(received);
            }
        }
        while (!_closing && Stopwatch.GetElapsedTime(started) < longest);
        return null;
    }

    private bool TakeIn(IoResult received)
    {
        if (received.IsError || received.Value == 0)
        {
            Finish(received.IsError ? ConnectionEnd.ReceiveFailed : ConnectionEnd.ClientClosed);
            return false;
        }

        return true;
    }

    /// <summary>Handles the commands that waited, then the messages that have arrived whole.</summary>
    /// <returns>Whether there was any.</returns>
    private bool ProcessArrived()
    {
        bool any = false;
        while (!_closing)
        {
            while (_queued.TryDequeue(out QueuedCommand? command))
            {
                any = true;
                _queuedBytes -= command.Cost;
                _descriptors = command.Descriptors;
                Handle(command.Header, command.Payload);
                command.Descriptors.Dispose();
                _descriptors = _reader.Descriptors;
            }

            switch (_reader.TryTake(out VfioUserHeader header, out Span<byte> payload))
            {
                case FrameStatus.Message:
                    any = true;
                    Handle(header, payload);
                    break;
                case FrameStatus.NeedMore:
                    return any;
                default:
                    // Where the next message starts cannot be known: tell why, and end.
                    _current = header;
                    _replied = false;
                    ReplyError(Errno.EINVAL);
                    _writer.Flush();
                    LogProtocolError(_deviceName, "a message of impossible size");
                    Finish(ConnectionEnd.ProtocolError);
                    return any;
            }
        }

        return any;
    }

    private void Handle(VfioUserHeader header, Span<byte> payload)
    {
        _current = header;
        _replied = false;
        switch ((VfioUserFlags)header.flags & VfioUserFlags.TypeMask)
        {
            case VfioUserFlags.Command:
                _handling = true;
                _bufferLeft = false;
                Dispatch(payload);
                _handling = false;
                Debug.Assert(_replied || IsPosted, "Every command is answered.");
                break;
            case VfioUserFlags.Reply when _reverse is not null && _twin is null && _reverse.Complete(header, payload):
                break;
            default:
                ReplyError(Errno.EINVAL);
                break;
        }

        if (_descriptors.Count != 0)
        {
            _descriptors.Clear();
        }
    }

    /// <summary>
    /// Takes in more of the stream while a handler of this thread waits: replies go to whoever waits for them, commands are kept in
    /// their order.
    /// </summary>
    /// <param name="limit">How long to wait for input.</param>
    /// <returns>False when the connection is ending.</returns>
    private bool Pump(TimeSpan limit)
    {
        const int MaximumQueued = 4 << 20;
        if (_closing)
        {
            return false;
        }

        IoResult ready = Poll.Wait(_socket.Descriptor, EventLoopEvents.Read, (int)Math.Clamp(limit.TotalMilliseconds, 0, int.MaxValue));
        if (ready.IsError || ready.Value == 0)
        {
            return !ready.IsError;
        }

        IoResult received = _reader.Fill(ReceiveFlags.DontWait);
        if (received.IsError || received.Value == 0)
        {
            if (received.Error == Errno.EAGAIN)
            {
                return true;
            }

            Finish(received.IsError ? ConnectionEnd.ReceiveFailed : ConnectionEnd.ClientClosed);
            return false;
        }

        return Sort(MaximumQueued);
    }

    /// <summary>Sorts what has arrived into replies and commands.</summary>
    private bool Sort(int maximumQueued)
    {
        const int CommandCost = 256;
        const int DescriptorCost = 16 << 10;
        while (true)
        {
            FrameStatus status = _reader.TryTake(out VfioUserHeader header, out Span<byte> payload);
            if (status == FrameStatus.NeedMore)
            {
                return true;
            }

            bool reply = ((VfioUserFlags)header.flags & VfioUserFlags.TypeMask) == VfioUserFlags.Reply;
            if (status == FrameStatus.Message && reply && _reverse!.Complete(header, payload))
            {
                continue;
            }

            // What a command costs here is more than its bytes: an empty one is an object, and descriptors are scarce.
            int cost = CommandCost + payload.Length + (_reader.Descriptors.Count * DescriptorCost);
            _queuedBytes += cost;
            if (status != FrameStatus.Message || reply || _queuedBytes > maximumQueued)
            {
                LogProtocolError(_deviceName, "messages that cannot be taken while a DMA request waits");
                Finish(ConnectionEnd.ProtocolError);
                return false;
            }

            DescriptorList descriptors = new();
            _reader.Descriptors.MoveTo(descriptors);
            _queued.Enqueue(new QueuedCommand(header, payload.ToArray(), descriptors, cost));
        }
    }

    private Errno OpenDevice()
    {
        Errno error = _host.TryOpenDevice(_deviceName, out _file);
        if (error != Errno.None)
        {
            return error;
        }

        _context = new IommufdContext(_host.Options.IommufdLimits with { MaximumAreas = _options.MaximumDmaMaps });
        error = _context.AllocateIoas(out _ioas);
        if (error == Errno.None)
        {
            error = _file!.Bind(_context, out _);
        }

        if (error == Errno.None)
        {
            uint id = _ioas!.Id;
            error = _file!.Attach(ref id);
        }

        if (error != Errno.None)
        {
            return error;
        }

        CapabilityChain chain = new();
        for (uint i = 0; i < PciLayout.RegionCount; i++)
        {
            // A region that the device does not know (VGA) is one of size 0 on the wire.
            if (_file!.GetRegionInfo(i, out _regions[i], chain) != Errno.None)
            {
                _regions[i] = new RegionInfo { Index = i };
            }
        }

        _file!.Requested += OnRequested;
        return Errno.None;
    }

    private void OnRequested(uint count)
    {
        if (_options.DisconnectAfterRequests is { } limit && count >= limit)
        {
            LogDisconnecting(_deviceName);
            Shutdown(ConnectionEnd.DeviceWithdrawn);
        }
    }

    /// <summary>Gives everything back, in the order of a last close (spec vfio-user §1.7).</summary>
    private void Close()
    {
        // Transfers that wait for the client fail first, so that the device can finish them and be closed.
        _closing = true;
        _reverse?.Abort();
        if (_file is { } file)
        {
            file.Requested -= OnRequested;
            _migrationData = null;
            file.Dispose();
        }

        _context?.Dispose();
        foreach (QueuedCommand command in _queued)
        {
            command.Descriptors.Dispose();
        }

        LogClosed(_deviceName, _end);
    }

    private void Finish(ConnectionEnd why)
    {
        if (_end == ConnectionEnd.None)
        {
            _end = why;
        }

        _closing = true;
    }

    private sealed record QueuedCommand(VfioUserHeader Header, byte[] Payload, DescriptorList Descriptors, int Cost);
}
