using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    /// <content>The twin socket, which nobody reads but those who wait for an answer on it: one of them at a time, for all.</content>
    internal sealed partial class ReverseChannel
    {
        private readonly UnixSocket? _twin;
        private readonly MessageReader? _twinReader;
        private readonly BusyPoll? _twinPoll;

        /// <summary>Transfers whose threads sleep while another one receives. Guarded by the lock, as are the two below.</summary>
        private readonly List<Transfer> _sleeping = [];
        private bool _receiving;
        private bool _disposed;

        /// <summary>Closes descriptors that the client sent and nobody wanted. After <see cref="Abort"/>.</summary>
        public void Dispose()
        {
            lock (_lock)
            {
                _disposed = true;
                if (!_receiving)
                {
                    _twinReader?.Dispose();
                }
            }
        }

        private bool WaitOnTwin(Transfer transfer)
        {
            while (true)
            {
                lock (_lock)
                {
                    if (transfer.IsDone)
                    {
                        return true;
                    }

                    if (!_receiving)
                    {
                        _receiving = true;
                        break;
                    }

                    transfer.Signal.Reset();
                    _sleeping.Add(transfer);
                }

                bool woken = Sleep(transfer);
                lock (_lock)
                {
                    _sleeping.Remove(transfer);
                    if (!woken && !transfer.IsDone)
                    {
                        return false;
                    }
                }
            }

            bool done = ReceiveFor(transfer);
            StopReceiving();
            return done;
        }

        /// <summary>Lets another one receive, if there is one.</summary>
        private void StopReceiving()
        {
            lock (_lock)
            {
                _receiving = false;
                if (_disposed)
                {
                    _twinReader!.Dispose();
                }

                foreach (Transfer other in _sleeping)
                {
                    if (!other.IsDone)
                    {
                        other.Signal.Set();
                        return;
                    }
                }
            }
        }

        /// <summary>Receives until a transfer's answers are there, and gives others theirs.</summary>
        /// <returns>False when the answers did not come.</returns>
        private bool ReceiveFor(Transfer transfer)
        {
            while (true)
            {
                FrameStatus status = _twinReader!.TryTake(out VfioUserHeader header, out Span<byte> payload);
                if (status == FrameStatus.Message)
                {
                    if (((VfioUserFlags)header.flags & VfioUserFlags.TypeMask) == VfioUserFlags.Reply)
                    {
                        _ = Complete(header, payload);
                    }

                    continue;
                }

                if (transfer.IsDone)
                {
                    return true;
                }

                if (status != FrameStatus.NeedMore)
                {
                    _connection.Shutdown(ConnectionEnd.ProtocolError);
                    return false;
                }

                // The socket's own time-out bounds each receive; this bounds a client that sends a little at a time.
                if (transfer.Left(_connection._options.MessageTimeout) <= TimeSpan.Zero)
                {
                    return false;
                }

                IoResult received = Receive();
                if (received.IsError || received.Value == 0)
                {
                    return transfer.IsDone;
                }
            }
        }

        private IoResult Receive()
        {
            if (_twinPoll!.Look(_connection._options.MessageTimeout, TakeTime.AtOnce) is { } found)
            {
                return found;
            }

            long asleep = _twinPoll.BeginSleep();
            IoResult received = _twinReader!.Fill(ReceiveFlags.None);
            _twinPoll.EndSleep(asleep);
            return received;
        }
    }
}
