using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>
/// A connection to an NBD export that outlives its server: requests that were not answered are sent again on the next connection, in their order, until a
/// time is over; then they fail, and later ones at once, while the connection is tried further (ADR 0404).
/// </summary>
/// <remarks>
/// <para>
/// The caller sends and waits. One thread receives; it alone ends requests, connections and patience, and every wait of it has an end, so that no caller
/// waits for ever. What was acknowledged and not flushed when a connection is lost closes the flush gate.
/// </para>
/// <para>Lock order: the send lock, which is held while a message is sent, then the lock of the requests, which encloses nothing.</para>
/// </remarks>
internal sealed partial class NbdClient : IDisposable
{
    /// <summary>Requests at a time.</summary>
    public const int MaxInFlight = 64;

    private readonly NbdAddress _address;
    private readonly int _timeout;
    private readonly Lock _sendLock = new();
    private readonly Lock _lock = new();
    private readonly NbdRequest[] _requests = new NbdRequest[MaxInFlight];
    private readonly SemaphoreSlim _places = new(MaxInFlight);
    private readonly int[] _free = new int[MaxInFlight];
    private readonly Thread _receiver;
    private readonly ManualResetEventSlim _closed = new();
    private int _freeCount = MaxInFlight;
    private long _sequence;

    /// <summary>The connection on which requests are sent; null while there is none.</summary>
    private NbdStream? _stream;

    /// <summary>The connection that is being made. Guarded by the lock, so that closing finds it.</summary>
    private NbdStream? _next;

    /// <summary>Patience is over: requests fail at once.</summary>
    private volatile bool _isGivenUp;
    private volatile bool _isClosing;

    // Writes that were acknowledged, and how many of them a flush has covered.
    private long _acknowledged;
    private long _durable;

    private NbdClient(NbdAddress address, NbdStream stream, NbdExport export)
    {
        _address = address;
        _timeout = (int)address.Timeout.TotalMilliseconds;
        Export = export;
        IsCached = export.Has(NbdProtocol.SendFlush);

        // A server that is away loses nothing by that: what it may have lost has closed the gate when the connection was.
        Gate = new FlushGate(() => Execute(NbdCommand.Flush, 0, 0, default, default), static error => error is Errno.ENOTCONN or Errno.ETIMEDOUT);
        for (int i = 0; i < MaxInFlight; i++)
        {
            _requests[i] = new NbdRequest(i);
            _free[i] = i;
        }

        _next = stream;
        _receiver = new Thread(Receive) { IsBackground = true, Name = $"nbd {address.Place}" };
        _receiver.Start();
    }

    /// <summary>What the server offered at first; later connections must offer the same.</summary>
    public NbdExport Export { get; }

    /// <summary>Whether writes are durable only after a flush.</summary>
    public bool IsCached { get; }

    /// <summary>Makes durable what was acknowledged.</summary>
    public FlushGate Gate { get; }

    /// <summary>As <see cref="IReportingBackend.IsDegraded"/>.</summary>
    public bool IsDegraded => _isGivenUp || Gate.Failure != Errno.None;

    /// <summary>Is told of lost and new connections. Called on the receiving thread.</summary>
    public Action<string>? Report { get; set; }

    /// <summary>Connects and negotiates.</summary>
    /// <exception cref="IOException">The server cannot be reached, or offers nothing of use.</exception>
    public static NbdClient Connect(NbdAddress address)
    {
        long end = Environment.TickCount64 + (long)address.OpenTimeout.TotalMilliseconds;
        while (true)
        {
            string? failure = TryConnect(address, address.Timeout, out NbdStream? stream, out NbdExport export, static _ => true);
            if (failure is null)
            {
                return new NbdClient(address, stream!, export);
            }

            if (Environment.TickCount64 >= end)
            {
                throw new IOException($"The NBD export '{address.Text}' cannot be opened: the server at {address.Place}: {failure}. Start it or mend the URI; open-timeout=SECONDS waits for one that is late.");
            }

            Thread.Sleep(100);
        }
    }

    /// <summary>Executes a request. Any thread; waits for the answer, or the end of patience.</summary>
    /// <param name="command">What.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Length in bytes; that of <paramref name="source"/> or <paramref name="destination"/> where there is one.</param>
    /// <param name="source">Data of a write.</param>
    /// <param name="destination">Receives the data of a read.</param>
    /// <returns>What the server answered; ENOTCONN or ETIMEDOUT when it did not in time.</returns>
    public Errno Execute(NbdCommand command, ulong offset, uint length, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        if (_isGivenUp || _isClosing)
        {
            return Errno.ENOTCONN;
        }

        _places.Wait();
        NbdRequest request;
        lock (_lock)
        {
            request = _requests[_free[--_freeCount]];
        }

        request.Prepare(command, offset, length, flags: 0);
        source.CopyTo(request.Data);
        Errno result = TryAdd(request) ? Finish(request) : Errno.ENOTCONN;
        if (result == Errno.None)
        {
            request.Data[..destination.Length].CopyTo(destination);
        }

        lock (_lock)
        {
            _free[_freeCount++] = request.Index;
        }

        _places.Release();
        return result;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isClosing = true;
        _closed.Set();
        lock (_sendLock)
        {
            if (_stream is { } stream)
            {
                Span<byte> goodbye = stackalloc byte[NbdProtocol.RequestLength];
                goodbye.Clear();
                BinaryPrimitives.WriteUInt32BigEndian(goodbye, NbdProtocol.RequestMagic);
                BinaryPrimitives.WriteUInt16BigEndian(goodbye[6..], (ushort)NbdCommand.Disconnect);
                _ = stream.Send(goodbye, timeoutMilliseconds: 1000);
                stream.Break();
            }
        }

        lock (_lock)
        {
            _next?.Break();
        }

        // It may look up a name just now, which cannot be ended; it then ends by itself.
        if (_receiver.Join(TimeSpan.FromSeconds(10)))
        {
            _closed.Dispose();
        }
    }

    private bool TryAdd(NbdRequest request)
    {
        lock (_lock)
        {
            if (_isGivenUp || _isClosing)
            {
                return false;
            }

            request.Sequence = ++_sequence;
            request.Began = Environment.TickCount64;
            request.Covers = _acknowledged;
            request.Result = Errno.None;
            request.IsSent = false;
            request.IsPending = true;
        }

        SendPending();
        return true;
    }

    /// <summary>Waits until the request is done; meanwhile it may fall to this thread to send all again.</summary>
    private Errno Finish(NbdRequest request)
    {
        while (true)
        {
            request.Event.Wait();
            lock (_lock)
            {
                if (!request.IsPending)
                {
                    return request.Result;
                }

                request.Event.Reset();
            }

            SendPending();
        }
    }

    /// <summary>Sends what waits to be sent, in its order, if there is a connection.</summary>
    private void SendPending()
    {
        lock (_sendLock)
        {
            while (_stream is { IsBroken: false } stream && TakeUnsent() is { } request)
            {
                if (stream.Send(request.Wire, _timeout) != Errno.None)
                {
                    // The receiver sees it, and what was not answered is sent again.
                    stream.Break();
                }
            }
        }
    }

    private NbdRequest? TakeUnsent()
    {
        lock (_lock)
        {
            NbdRequest? first = null;
            foreach (NbdRequest request in _requests)
            {
                if (request is { IsPending: true, IsSent: false } && (first is null || request.Sequence < first.Sequence))
                {
                    first = request;
                }
            }

            if (first is not null)
            {
                first.IsSent = true;
                first.Sent = Environment.TickCount64;
            }

            return first;
        }
    }
}
