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
    /// With a twin socket whoever transfers also receives the answer, under a lock. In band the connection's thread receives for all;
    /// when it is the one that transfers, it first answers the command it is in, then sorts what arrives until its answer is there.
    /// </remarks>
    internal sealed class ReverseChannel : IDisposable
    {
        private const int HeadSize = HeaderSize + 16;
        private readonly ServerConnection _connection;
        private readonly int _chunk;
        private readonly UnixSocket? _twin;
        private readonly MessageReader? _twinReader;
        private readonly Pending? _twinPending;
        private readonly Lock _twinLock = new();
        private readonly Lock _pendingLock = new();
        private readonly Dictionary<ushort, Pending> _pending = [];
        private readonly Stack<Pending> _free = new();
        private ushort _nextId;
        private bool _aborted;

        public ReverseChannel(ServerConnection connection, uint chunk, UnixSocket? twin)
        {
            _connection = connection;
            _chunk = (int)chunk;
            _twin = twin;
            if (twin is not null)
            {
                twin.SetSendTimeout(connection._options.MessageTimeout);
                twin.SetReceiveTimeout(connection._options.MessageTimeout);
                _twinReader = new MessageReader(twin, connection.MaximumMessage);
                _twinPending = new Pending();
            }
        }

        public Errno Read(ulong address, Span<byte> destination)
        {
            while (!destination.IsEmpty)
            {
                int length = Math.Min(destination.Length, _chunk);
                Errno error = Transfer(VfioUserCommand.DmaRead, address, destination[..length], default);
                if (error != Errno.None)
                {
                    return error;
                }

                destination = destination[length..];
                address += (ulong)length;
            }

            return Errno.None;
        }

        public Errno Write(ulong address, ReadOnlySpan<byte> source)
        {
            while (!source.IsEmpty)
            {
                int length = Math.Min(source.Length, _chunk);
                Errno error = Transfer(VfioUserCommand.DmaWrite, address, default, source[..length]);
                if (error != Errno.None)
                {
                    return error;
                }

                source = source[length..];
                address += (ulong)length;
            }

            return Errno.None;
        }

        /// <summary>Gives a reply that arrived in band to the transfer that waits for it.</summary>
        /// <returns>False when nobody waits for it.</returns>
        public bool Complete(VfioUserHeader header, ReadOnlySpan<byte> payload)
        {
            lock (_pendingLock)
            {
                if (!_pending.Remove(header.msg_id, out Pending? pending))
                {
                    return false;
                }

                pending.Result = header.cmd == (ushort)pending.Command ? Check(pending, header, payload) : Errno.EIO;
                pending.Done.Set();
                return true;
            }
        }

        /// <summary>For an unmap on the connection's thread that waits for transfers of other threads: receives their answers.</summary>
        public bool Help()
        {
            const int Slice = 10;
            return _twin is null && _connection.OnOwnThread && _connection.PumpInHandler(TimeSpan.FromMilliseconds(Slice));
        }

        /// <summary>Fails all transfers, now and later: the client is gone.</summary>
        public void Abort()
        {
            lock (_pendingLock)
            {
                _aborted = true;
                foreach (Pending pending in _pending.Values)
                {
                    pending.Result = Errno.ENOTCONN;
                    pending.Done.Set();
                }

                _pending.Clear();
            }

            _twin?.Shutdown();
        }

        /// <summary>Closes descriptors that the client sent and nobody wanted. After <see cref="Abort"/>, when no transfer is left.</summary>
        public void Dispose()
        {
            lock (_twinLock)
            {
                _twinReader?.Dispose();
            }
        }

        private static Errno Check(Pending pending, VfioUserHeader header, ReadOnlySpan<byte> payload)
        {
            const int HighestErrno = 4095;
            if (((VfioUserFlags)header.flags & VfioUserFlags.Error) != 0)
            {
                return header.error_no is 0 or > HighestErrno ? Errno.EINVAL : (Errno)header.error_no;
            }

            int size = Marshal.SizeOf<vfio_user_dma_access>();
            bool read = pending.Command == VfioUserCommand.DmaRead;
            if (payload.IsEmpty && !read)
            {
                return Errno.None; // QEMU answers a write with the header alone.
            }

            if (!TryRead(payload, out vfio_user_dma_access access)
                || access.address != pending.Address
                || access.count != (ulong)pending.Length
                || payload.Length != size + (read ? pending.Length : 0))
            {
                return Errno.EIO;
            }

            if (read)
            {
                payload[size..].CopyTo(pending.Data);
            }

            return Errno.None;
        }

        private Errno Transfer(VfioUserCommand command, ulong address, Span<byte> destination, ReadOnlySpan<byte> source)
        {
            int length = destination.Length + source.Length;
            if (_twin is not null)
            {
                return TransferOnTwin(command, address, destination, source);
            }

            bool own = _connection.OnOwnThread;
            if (own && !_connection.TryReplyEarly())
            {
                return Errno.EDEADLK;
            }

            Pending? pending = Add(command, address, length, destination.Length, out ushort id);
            if (pending is null)
            {
                return Errno.ENOTCONN;
            }

            Errno error = Send(_connection._writer, command, id, address, length, source);
            if (error == Errno.None && !Wait(pending, own))
            {
                error = Errno.EIO;
                _connection.Shutdown(ConnectionEnd.TimedOut);
            }

            lock (_pendingLock)
            {
                _pending.Remove(id);
                error = error != Errno.None ? error : pending.Result;
                if (error == Errno.None)
                {
                    pending.Data.AsSpan(0, destination.Length).CopyTo(destination);
                }

                _free.Push(pending);
            }

            return error;
        }

        private bool Wait(Pending pending, bool own)
        {
            TimeSpan limit = _connection._options.MessageTimeout;
            if (!own)
            {
                return pending.Done.Wait(limit);
            }

            long started = Stopwatch.GetTimestamp();
            while (!pending.Done.IsSet)
            {
                TimeSpan left = limit - Stopwatch.GetElapsedTime(started);
                if (left <= TimeSpan.Zero || !_connection.PumpInHandler(left))
                {
                    return pending.Done.IsSet;
                }
            }

            return true;
        }

        private Errno TransferOnTwin(VfioUserCommand command, ulong address, Span<byte> destination, ReadOnlySpan<byte> source)
        {
            lock (_twinLock)
            {
                if (_aborted)
                {
                    return Errno.ENOTCONN;
                }

                Pending pending = _twinPending!;
                pending.Prepare(command, address, destination.Length + source.Length, destination.Length);
                ushort id = _nextId++;
                Span<byte> head = stackalloc byte[HeadSize];
                WriteHead(head, command, id, address, pending.Length, source.Length);
                IoResult sent = _twin!.Send(head, source, default);
                if (sent.IsError)
                {
                    // Part of the message may be on its way: the stream is only good for closing.
                    _connection.Shutdown(ConnectionEnd.SendFailed);
                    return Errno.EIO;
                }

                // The socket's own time-out bounds each receive; this bounds a client that sends a little at a time.
                long started = Stopwatch.GetTimestamp();
                while (true)
                {
                    if (Stopwatch.GetElapsedTime(started) > _connection._options.MessageTimeout)
                    {
                        _connection.Shutdown(ConnectionEnd.TimedOut);
                        return Errno.EIO;
                    }

                    FrameStatus status = _twinReader!.TryTake(out VfioUserHeader header, out Span<byte> payload);
                    if (status == FrameStatus.NeedMore)
                    {
                        IoResult received = _twinReader.Fill(ReceiveFlags.None);
                        if (received.IsError || received.Value == 0)
                        {
                            _connection.Shutdown(ConnectionEnd.TimedOut);
                            return Errno.EIO;
                        }

                        continue;
                    }

                    if (status != FrameStatus.Message)
                    {
                        _connection.Shutdown(ConnectionEnd.ProtocolError);
                        return Errno.EIO;
                    }

                    bool reply = ((VfioUserFlags)header.flags & VfioUserFlags.TypeMask) == VfioUserFlags.Reply;
                    if (!reply || header.msg_id != id || header.cmd != (ushort)command)
                    {
                        continue; // Not the answer; its size is known, so the stream goes on.
                    }

                    Errno error = Check(pending, header, payload);
                    if (error == Errno.None)
                    {
                        pending.Data.AsSpan(0, destination.Length).CopyTo(destination);
                    }

                    return error;
                }
            }
        }

        private Pending? Add(VfioUserCommand command, ulong address, int length, int dataLength, out ushort id)
        {
            lock (_pendingLock)
            {
                id = 0;
                if (_aborted)
                {
                    return null;
                }

                do
                {
                    id = _nextId++;
                }
                while (_pending.ContainsKey(id));

                Pending pending = _free.TryPop(out Pending? free) ? free : new Pending();
                pending.Prepare(command, address, length, dataLength);
                _pending.Add(id, pending);
                return pending;
            }
        }

        private static Errno Send(MessageWriter writer, VfioUserCommand command, ushort id, ulong address, int length, ReadOnlySpan<byte> source)
        {
            Span<byte> head = stackalloc byte[HeadSize];
            WriteHead(head, command, id, address, length, source.Length);
            return writer.Send(head, source, default);
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

        private sealed class Pending
        {
            public ManualResetEventSlim Done { get; } = new(false, spinCount: 0);

            public VfioUserCommand Command { get; private set; }

            public ulong Address { get; private set; }

            public int Length { get; private set; }

            public Errno Result { get; set; }

            public byte[] Data { get; private set; } = [];

            public void Prepare(VfioUserCommand command, ulong address, int length, int dataLength)
            {
                Done.Reset();
                Result = Errno.EIO;
                Command = command;
                Address = address;
                Length = length;
                if (Data.Length < dataLength)
                {
                    Data = GC.AllocateUninitializedArray<byte>(dataLength);
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
