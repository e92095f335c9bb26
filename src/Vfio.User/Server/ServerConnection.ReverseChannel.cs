using System.Diagnostics;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    /// <summary>
    /// The commands that a server sends to its client: DMA_READ and DMA_WRITE. Works from any thread, and from inside a handler of the
    /// connection's own thread without deadlock.
    /// </summary>
    /// <remarks>
    /// <para>
    /// What is longer than the client takes at once goes out as several requests, which are in flight together; transfers of several threads
    /// are so too. In band the connection's thread receives for all; when it is the one that transfers, it first answers the command it
    /// is in, then sorts what arrives until its answers are there. With a twin socket one of those who wait receives for all.
    /// </para>
    /// <para>
    /// Nobody sends while a reply with data is on its way to him: the client may be unable to receive until that is taken. So requests for
    /// data go out together and are then waited for, and data goes out in amounts that sockets hold.
    /// </para>
    /// <para>The lock is a leaf. What a client answers late or twice finds its request gone.</para>
    /// </remarks>
    internal sealed partial class ReverseChannel : IDisposable
    {
        private const int HeadSize = HeaderSize + 16;
        private const int MaximumRequests = 8;
        private const int ReadWindow = 1 << 20;
        private const int WriteWindow = 64 << 10;
        private readonly ServerConnection _connection;
        private readonly int _chunk;
        private readonly MessageWriter _writer;
        private readonly Lock _lock = new();
        private readonly Dictionary<ushort, Request> _requests = [];
        private readonly Stack<Transfer> _free = new();
        private ushort _nextId;
        private bool _aborted;

        public ReverseChannel(ServerConnection connection, uint chunk, UnixSocket? twin)
        {
            _connection = connection;
            _chunk = (int)chunk;
            _twin = twin;
            _writer = connection._writer;
            if (twin is not null)
            {
                twin.SetSendTimeout(connection._options.MessageTimeout);
                twin.SetReceiveTimeout(connection._options.MessageTimeout);
                _twinReader = new MessageReader(twin, connection.MaximumMessage);
                _twinPoll = new BusyPoll(_twinReader, connection._options.BusyPoll, connection._host.Workers);
                _writer = new MessageWriter(twin);
            }
        }

        /// <summary>Copies from the client's memory. On failure any of the bytes may have been copied.</summary>
        public Errno Read(ulong address, Span<byte> destination)
        {
            Errno error = Begin(out Transfer? transfer);
            int batch = BatchLength(ReadWindow);
            while (error == Errno.None && !destination.IsEmpty)
            {
                int length = Math.Min(destination.Length, batch);
                error = Run(transfer!, VfioUserCommand.DmaRead, address, length, default);
                if (error == Errno.None)
                {
                    transfer!.Data.AsSpan(0, length).CopyTo(destination);
                    destination = destination[length..];
                    address += (ulong)length;
                }
            }

            End(transfer);
            return error;
        }

        /// <summary>Copies to the client's memory. On failure any of the bytes may have been copied.</summary>
        public Errno Write(ulong address, ReadOnlySpan<byte> source)
        {
            Errno error = Begin(out Transfer? transfer);
            int batch = BatchLength(WriteWindow);
            while (error == Errno.None && !source.IsEmpty)
            {
                int length = Math.Min(source.Length, batch);
                error = Run(transfer!, VfioUserCommand.DmaWrite, address, length, source[..length]);
                source = source[length..];
                address += (ulong)length;
            }

            End(transfer);
            return error;
        }

        /// <summary>Gives a reply that arrived to the transfer that waits for it.</summary>
        /// <returns>False when nobody waits for it.</returns>
        public bool Complete(VfioUserHeader header, ReadOnlySpan<byte> payload)
        {
            lock (_lock)
            {
                if (!_requests.TryGetValue(header.msg_id, out Request request))
                {
                    return false;
                }

                bool right = header.cmd == (ushort)request.Command;
                if (!right && _twin is not null)
                {
                    return false; // Its size is known, so the stream goes on.
                }

                _requests.Remove(header.msg_id);
                request.Transfer.Complete(right ? Check(request, header, payload) : Errno.EIO);
                return true;
            }
        }

        /// <summary>For a handler on the connection's thread that waits for transfers of other threads: receives their answers.</summary>
        public bool Help()
        {
            const int Slice = 10;
            return _twin is null && IsAsking && _connection.OnOwnThread && _connection.PumpInHandler(TimeSpan.FromMilliseconds(Slice));
        }

        private bool IsAsking
        {
            get
            {
                lock (_lock)
                {
                    return _requests.Count > 0;
                }
            }
        }

        /// <summary>Fails all transfers, now and later: the client is gone.</summary>
        public void Abort()
        {
            lock (_lock)
            {
                _aborted = true;
                foreach (Request request in _requests.Values)
                {
                    request.Transfer.Complete(Errno.ENOTCONN);
                }

                _requests.Clear();
            }

            _twin?.Shutdown();
        }

        private static Errno Check(in Request request, VfioUserHeader header, ReadOnlySpan<byte> payload)
        {
            const int HighestErrno = 4095;
            if (((VfioUserFlags)header.flags & VfioUserFlags.Error) != 0)
            {
                return header.error_no is 0 or > HighestErrno ? Errno.EINVAL : (Errno)header.error_no;
            }

            int size = Marshal.SizeOf<vfio_user_dma_access>();
            bool read = request.Command == VfioUserCommand.DmaRead;
            if (payload.IsEmpty && !read)
            {
                return Errno.None; // QEMU answers a write with the header alone.
            }

            if (!TryRead(payload, out vfio_user_dma_access access)
                || access.address != request.Address
                || access.count != (ulong)request.Length
                || payload.Length != size + (read ? request.Length : 0))
            {
                return Errno.EIO;
            }

            if (read)
            {
                payload[size..].CopyTo(request.Transfer.Data.AsSpan(request.Offset));
            }

            return Errno.None;
        }

        /// <summary>How much goes out before it is waited for: whole requests, at least one.</summary>
        private int BatchLength(int window) => _chunk * Math.Clamp(window / _chunk, 1, MaximumRequests);

        private Errno Begin(out Transfer? transfer)
        {
            transfer = null;
            if (_twin is null && _connection.OnOwnThread && !_connection.TryReplyEarly())
            {
                return Errno.EDEADLK;
            }

            lock (_lock)
            {
                transfer = _free.TryPop(out Transfer? free) ? free : new Transfer();
                return Errno.None;
            }
        }

        private void End(Transfer? transfer)
        {
            if (transfer is not null)
            {
                lock (_lock)
                {
                    _free.Push(transfer);
                }
            }
        }

        /// <summary>Sends the requests for a part of a transfer together and waits for their answers.</summary>
        private Errno Run(Transfer transfer, VfioUserCommand command, ulong address, int length, ReadOnlySpan<byte> source)
        {
            Errno error = Add(transfer, command, address, length);
            if (error != Errno.None)
            {
                return error;
            }

            error = Send(transfer, command, address, length, source);
            if (error == Errno.None && !Wait(transfer))
            {
                error = Errno.EIO;
            }

            lock (_lock)
            {
                for (int i = 0; i < transfer.Count; i++)
                {
                    if (_requests.TryGetValue(transfer.Ids[i], out Request request) && ReferenceEquals(request.Transfer, transfer))
                    {
                        _requests.Remove(transfer.Ids[i]);
                    }
                }

                return error != Errno.None ? error : transfer.Result;
            }
        }

        private Errno Add(Transfer transfer, VfioUserCommand command, ulong address, int length)
        {
            int count = ((length - 1) / _chunk) + 1;
            transfer.Prepare(count, command == VfioUserCommand.DmaRead ? length : 0);
            lock (_lock)
            {
                if (_aborted)
                {
                    return Errno.ENOTCONN;
                }

                for (int i = 0; i < count; i++)
                {
                    while (_requests.ContainsKey(_nextId))
                    {
                        _nextId++;
                    }

                    transfer.Ids[i] = _nextId;
                    int offset = i * _chunk;
                    _requests.Add(_nextId++, new Request(transfer, command, address + (ulong)offset, offset, Math.Min(_chunk, length - offset)));
                }

                return Errno.None;
            }
        }

        private Errno Send(Transfer transfer, VfioUserCommand command, ulong address, int length, ReadOnlySpan<byte> source)
        {
            Span<byte> heads = stackalloc byte[MaximumRequests * HeadSize];
            Errno error = Errno.None;
            for (int i = 0; i < transfer.Count && error == Errno.None; i++)
            {
                int offset = i * _chunk;
                int size = Math.Min(_chunk, length - offset);
                ReadOnlySpan<byte> data = source.IsEmpty ? default : source.Slice(offset, size);
                Span<byte> head = heads.Slice(i * HeadSize, HeadSize);
                WriteHead(head, command, transfer.Ids[i], address + (ulong)offset, size, data.Length);
                error = source.IsEmpty ? Errno.None : _writer.Send(head, data, default);
            }

            error = source.IsEmpty ? _writer.Send(heads[..(transfer.Count * HeadSize)], default, default) : error;
            if (error != Errno.None && _twin is not null)
            {
                // Part of a message may be on its way: the stream is only good for closing.
                _connection.Shutdown(ConnectionEnd.SendFailed);
                return Errno.EIO;
            }

            return error;
        }

        /// <summary>Waits for the answers to all requests of a transfer. Each answer gives the next the whole time again.</summary>
        /// <returns>False at the deadline, or when the connection has to end; it does then.</returns>
        private bool Wait(Transfer transfer)
        {
            bool done = _twin is not null ? WaitOnTwin(transfer) : _connection.OnOwnThread ? Pump(transfer) : Sleep(transfer);
            if (!done)
            {
                _connection.Shutdown(ConnectionEnd.TimedOut);
            }

            return done;
        }

        /// <summary>Another thread receives.</summary>
        private bool Sleep(Transfer transfer)
        {
            while (!transfer.Signal.IsSet)
            {
                TimeSpan left = transfer.Left(_connection._options.MessageTimeout);
                if (left <= TimeSpan.Zero)
                {
                    return false;
                }

                _ = transfer.Signal.Wait(left);
            }

            return true;
        }

        /// <summary>On the connection's thread, which is the one that receives.</summary>
        private bool Pump(Transfer transfer)
        {
            while (!transfer.IsDone)
            {
                TimeSpan left = transfer.Left(_connection._options.MessageTimeout);
                if (left <= TimeSpan.Zero || !_connection.PumpInHandler(left))
                {
                    return transfer.IsDone;
                }
            }

            return true;
        }

        private static void WriteHead(Span<byte> head, VfioUserCommand command, ushort id, ulong address, int length, int payload)
        {
            MemoryMarshal.Write(head, new VfioUserHeader
            {
                msg_id = id,
                cmd = (ushort)command,
                msg_size = (uint)(head.Length + payload),
                flags = (uint)VfioUserFlags.Command,
            });
            MemoryMarshal.Write(head[HeaderSize..], new vfio_user_dma_access { address = address, count = (ulong)length });
        }

        /// <summary>What a request asked for.</summary>
        /// <param name="Transfer">Whose it is.</param>
        /// <param name="Command">DMA_READ or DMA_WRITE.</param>
        /// <param name="Address">The client's address.</param>
        /// <param name="Offset">Where its bytes are in the transfer.</param>
        /// <param name="Length">Length in bytes.</param>
        private readonly record struct Request(Transfer Transfer, VfioUserCommand Command, ulong Address, int Offset, int Length);

        /// <summary>Requests that are in flight together, and the thread that waits for their answers.</summary>
        private sealed class Transfer
        {
            private int _left;
            private long _progress;

            /// <summary>Set when all are answered; with a twin socket also when this thread is to receive.</summary>
            public ManualResetEventSlim Signal { get; } = new(false, spinCount: 0);

            public ushort[] Ids { get; } = new ushort[MaximumRequests];

            public int Count { get; private set; }

            /// <summary>The first error. Guarded by the channel's lock.</summary>
            public Errno Result { get; private set; }

            /// <summary>What was read. Guarded by the channel's lock until all are answered.</summary>
            public byte[] Data { get; private set; } = [];

            public bool IsDone => Volatile.Read(ref _left) == 0;

            public void Prepare(int count, int dataLength)
            {
                Signal.Reset();
                Result = Errno.None;
                Count = count;
                Volatile.Write(ref _progress, Stopwatch.GetTimestamp());
                Volatile.Write(ref _left, count);
                if (Data.Length < dataLength)
                {
                    Data = GC.AllocateUninitializedArray<byte>(dataLength);
                }
            }

            /// <summary>How much of a limit is left since the last answer.</summary>
            public TimeSpan Left(TimeSpan limit) => limit - Stopwatch.GetElapsedTime(Volatile.Read(ref _progress));

            /// <summary>Notes an answer. The channel's lock is held.</summary>
            public void Complete(Errno error)
            {
                Result = Result == Errno.None ? error : Result;
                Volatile.Write(ref _progress, Stopwatch.GetTimestamp());
                Volatile.Write(ref _left, _left - 1);
                if (_left == 0)
                {
                    Signal.Set();
                }
            }
        }
    }

    /// <summary>Takes in more of the stream from inside a handler, whose payload stays as it is.</summary>
    private bool PumpInHandler(TimeSpan limit)
    {
        if (!_bufferLeft)
        {
            _reader.LeaveBuffer();
            _bufferLeft = true;
        }

        return Pump(limit);
    }
}
