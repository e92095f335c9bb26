using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>One client of a server: its socket, and the device file it acts on.</summary>
/// <remarks>
/// While its client is busy, it has a thread of the host's (<see cref="VfioHost.Workers"/>), which blocks in the kernel; everything here belongs to
/// that thread unless it says otherwise. When nothing comes for a while, it rests: the host's event loop watches the socket, and neither a
/// thread nor buffers are held (ServerConnection.Resting.cs). Handlers report failures as values; the path of a region access allocates nothing.
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
    private readonly DescriptorMemoryPool _memory;
    private readonly Queue<QueuedCommand> _queued = new();
    private readonly Stack<QueuedCommand> _freeCommands = new();

    // A leaf: the connection ends on its own thread while others end it too.
    private readonly Lock _socketLock = new();
    private readonly RegionInfo[] _regions = new RegionInfo[PciLayout.RegionCount];
    private VfioUserCapabilities _client;
    private VfioDeviceFile? _file;
    private IommufdContext? _context;
    private Ioas? _ioas;
    private ReverseChannel? _reverse;
    private UnixSocket? _twin;
    private volatile Thread? _thread;
    private FileDescriptor? _spent;
    private VfioUserHeader _current;
    private DescriptorList _descriptors;
    private bool _replied;
    private bool _negotiated;
    private bool _handling;
    private bool _bufferLeft;
    private bool _hasMessageMemory;
    private bool _disposed;
    private bool _sleepIsLimited;
    private int _queuedBytes;
    private readonly AnsweringThread _answering;
    private readonly BusyPoll _messagePoll;
    private readonly BusyPoll _answerPoll;
    private readonly TakeTiming _takeTiming;
    private long _messageCount;
    private volatile bool _closing;
    private volatile ConnectionEnd _end;

    /// <summary>Makes a connection; <see cref="TryStart"/> starts it.</summary>
    /// <param name="host">The host.</param>
    /// <param name="deviceName">The device's name there.</param>
    /// <param name="socket">The client's socket, owned by the connection.</param>
    /// <param name="options">How the client is treated.</param>
    /// <param name="logger">The log.</param>
    /// <param name="ended">Called once, when the device is closed. The socket stays open until <see cref="Dispose"/>. Returns the connection that the thread serves next, if any.</param>
    public ServerConnection(VfioHost host, string deviceName, UnixSocket socket, VfioUserServerOptions options, ILogger logger, Func<ServerConnection, ServerConnection?> ended)
    {
        _ended = ended;
        _run = Run;
        _answering = new AnsweringThread(() => _reverse?.Help() ?? false);
        _host = host;
        _deviceName = deviceName;
        _socket = socket;
        _options = options;
        _logger = logger;
        _memory = new DescriptorMemoryPool(options.ClientMemory, options.MaximumMappings) { Spent = Spend };
        _reader = new MessageReader(socket, MaximumMessage);
        _messagePoll = new BusyPoll(_reader, options.BusyPoll, host.Workers);
        _takeTiming = new TakeTiming(host.TimeProvider);
        _answerPoll = new BusyPoll(_reader, options.BusyPoll, host.Workers);
        _writer = new MessageWriter(socket, options.MessageTimeout);
        _descriptors = _reader.Descriptors;
        _timer = host.TimeProvider.CreateTimer(static state => ((ServerConnection)state!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Why the connection ended.</summary>
    public ConnectionEnd End => _end;

    private int MaximumMessage => HeaderSize + 16 + (int)_options.MaximumDataTransferSize;

    private bool OnOwnThread => Thread.CurrentThread == _thread;

    /// <summary>Gives the connection a thread, which opens the device and serves the client.</summary>
    /// <param name="onThisThread">It is the caller's, which returned the connection from its own end.</param>
    /// <returns>EAGAIN when the system has no thread now.</returns>
    public Errno TryStart(bool onThisThread)
    {
        _connected = _host.TimeProvider.GetTimestamp();
        return onThisThread ? Errno.None : _host.Workers.TryRun(_run);
    }

    /// <summary>On a thread of the host's: serves this client, and then those that waited for it to go.</summary>
    private void Run()
    {
        for (ServerConnection? connection = this; connection is not null;)
        {
            connection = connection.ServeClient();
        }
    }

    /// <summary>Serves the client until it goes, is sent away, or rests; in the first two cases closes the device. Never throws.</summary>
    /// <returns>The connection to go on with, or null.</returns>
    private ServerConnection? ServeClient()
    {
        _thread = Thread.CurrentThread;
        MayWorkHere();
        try
        {
            if (Serve())
            {
                // From here on the connection is another thread's.
                return null;
            }
        }
#pragma warning disable CA1031 // The author's device code runs here: its failure ends this connection, not the process.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            Finish(ConnectionEnd.DeviceFailed);
            LogDeviceFailed(_deviceName, exception);
        }

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

        _answering.Exit();
        return _ended(this);
    }

    /// <summary>Tells what the client does. From any thread: the figures are read one by one while it goes on.</summary>
    /// <param name="connections">Clients of the server so far.</param>
    public ServerStatistics GetStatistics(long connections)
    {
        Span<AreaUsage> usages = stackalloc AreaUsage[3];
        _ioas?.GetUsage(["mapped", "descriptor", "message"], usages);
        return new ServerStatistics(
            _socket.TryGetPeerCredentials(out PeerCredentials peer) == Errno.None ? peer : null,
            _host.TimeProvider.GetElapsedTime(_connected),
            connections,
            Volatile.Read(ref _messageCount),
            usages[0],
            usages[1],
            usages[2],
            _memory.MappingCount,
            _memory.DescriptorCount);
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

        _timer.Dispose();
        _reader.Dispose();
        _reverse?.Dispose();
        _twin?.Dispose();
        _intxTrigger?.Dispose();
        _intxUnmask?.Dispose();
    }

    /// <returns>True when it rests; false when it has ended.</returns>
    private bool Serve()
    {
        if (_file is null)
        {
            Errno error = OpenDevice();
            if (error != Errno.None)
            {
                LogDeviceNotOpened(_deviceName, error);
                Finish(ConnectionEnd.DeviceUnavailable);
                return false;
            }
        }

        long messageStarted = 0;
        while (!_closing)
        {
            long before = _messageCount;
            bool any = ProcessArrived();
            if (any)
            {
                messageStarted = 0;
            }

            if (_takeTiming.Current == TakeTime.BeforeAnswer)
            {
                _reader.Settle();
            }

            _writer.Flush();

            // What the answers need not wait for; nor need what the device does now (Receive), which may be to interrupt a client that sleeps.
            if (!_answering.HasWork || _closing)
            {
                _reader.Settle();
            }

            Spend(null);
            if (any)
            {
                _takeTiming.Answered((int)(_messageCount - before));
            }

            if (_closing || _writer.Failure != Errno.None)
            {
                Finish(ConnectionEnd.SendFailed);
                break;
            }

            TimeSpan? limit = null;
            if (!_negotiated)
            {
                limit = NegotiationLeft;
            }

            if (_reader.HasPartialMessage)
            {
                messageStarted = messageStarted == 0 ? _host.TimeProvider.GetTimestamp() : messageStarted;
                TimeSpan left = _options.MessageTimeout - _host.TimeProvider.GetElapsedTime(messageStarted);
                limit = limit < left ? limit : left;
            }

            switch (Receive(limit))
            {
                case Received.Nothing when TryRest():
                    return true;
                case Received.End:
                    return false;
            }
        }

        return false;
    }

    /// <summary>Closes a descriptor when the requests that are being handled are answered.</summary>
    private void Spend(FileDescriptor? descriptor)
    {
        _spent?.Dispose();
        _spent = descriptor;
    }

    /// <summary>Waits for input within a limit and takes it in.</summary>
    private Received Receive(TimeSpan? limit)
    {
        // What requests have brought about, now that they are answered; between two pieces of it others are.
        while (_answering.HasWork)
        {
            _answering.Work();
            IoResult arrived = _reader.Fill(ReceiveFlags.DontWait);
            if (arrived.Error != Errno.EAGAIN)
            {
                return TakeIn(arrived);
            }
        }

        if (_messagePoll.Look(limit ?? TimeSpan.MaxValue, _takeTiming.Current) is { } received)
        {
            return TakeIn(received);
        }

        _takeTiming.Slept();
        if (limit is { } time)
        {
            int milliseconds = (int)Math.Clamp(time.TotalMilliseconds, 0, int.MaxValue);
            bool mayRest = !_reader.HasPartialMessage && milliseconds > 0;
            IoResult ready = Poll.Wait(_socket.Descriptor, EventLoopEvents.Read, mayRest ? Math.Min(milliseconds, (int)_options.RestAfter.TotalMilliseconds) : milliseconds);
            if (ready.Value == 0 && mayRest)
            {
                return Received.Nothing;
            }

            if (ready.IsError || ready.Value == 0)
            {
                LogTimeout(_deviceName);
                Finish(ConnectionEnd.TimedOut);
                return Received.End;
            }
        }

        if (!_sleepIsLimited)
        {
            _sleepIsLimited = true;
            _socket.SetReceiveTimeout(_options.RestAfter);
        }

        long asleep = _messagePoll.BeginSleep();
        IoResult result = _reader.Fill(!_cannotRest && MustNotWait(_host.Workers) ? ReceiveFlags.DontWait : ReceiveFlags.None);
        _messagePoll.EndSleep(asleep);
        return TakeIn(result);
    }

    /// <summary>Has the device's brief work done on this thread, unless it may have to wait for the client, whose answers this thread receives.</summary>
    private void MayWorkHere() => _answering.Enter(takesWork: !_hasMessageMemory);

    private Received TakeIn(IoResult received)
    {
        if (received.Error == Errno.EAGAIN)
        {
            return Received.Nothing;
        }

        if (received.IsError || received.Value == 0)
        {
            Finish(received.IsError ? ConnectionEnd.ReceiveFailed : ConnectionEnd.ClientClosed);
            return Received.End;
        }

        return Received.Something;
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
                _descriptors = _reader.Descriptors;
                command.Clear();
                if (_freeCommands.Count < QueuedCommand.MaximumFree)
                {
                    _freeCommands.Push(command);
                }
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
        _messageCount++;
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

        _reader.Settle();
        if (_answerPoll.Look(limit, TakeTime.AtOnce) is not { } received)
        {
            long asleep = _answerPoll.BeginSleep();
            IoResult ready = Poll.Wait(_socket.Descriptor, EventLoopEvents.Read, (int)Math.Clamp(limit.TotalMilliseconds, 0, int.MaxValue));
            _answerPoll.EndSleep(asleep);
            if (ready.IsError || ready.Value == 0)
            {
                return !ready.IsError;
            }

            received = _reader.Fill(ReceiveFlags.DontWait);
        }

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

            QueuedCommand command = _freeCommands.TryPop(out QueuedCommand? free) ? free : new QueuedCommand();
            command.Fill(header, payload, _reader.Descriptors, cost);
            _queued.Enqueue(command);
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
        _memory.Dispose();
        Spend(null);
        foreach (QueuedCommand command in _queued)
        {
            command.Clear();
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

    private enum Received
    {
        /// <summary>Nothing, for as long as a thread waits.</summary>
        Nothing,

        /// <summary>Bytes, which are in the reader.</summary>
        Something,

        /// <summary>The connection has ended.</summary>
        End,
    }
}
