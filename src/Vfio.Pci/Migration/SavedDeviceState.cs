using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>The stream of a device that is saved: who it is from the start, and its state once it has stopped.</summary>
internal sealed class SavedDeviceState(byte[] identity) : MigrationDataFile
{
    private readonly Lock _lock = new();
    private byte[]? _state;
    private long _at;

    /// <summary>The device has stopped, and this is its state.</summary>
    public void Complete(byte[] state)
    {
        lock (_lock)
        {
            _state = state;
        }

        NotifyReadiness();
    }

    protected override IoResult OnRead(Span<byte> buffer)
    {
        lock (_lock)
        {
            ReadOnlySpan<byte> rest = _at < identity.Length ? identity.AsSpan((int)_at) : _state is null ? default : _state.AsSpan((int)(_at - identity.Length));
            if (rest.IsEmpty)
            {
                return _state is null ? Errno.ENOMSG : IoResult.Success(0);
            }

            int count = Math.Min(buffer.Length, rest.Length);
            rest[..count].CopyTo(buffer);
            _at += count;
            return IoResult.Success(count);
        }
    }

    protected override Errno OnGetPrecopyInfo(out PrecopyInfo info)
    {
        lock (_lock)
        {
            info = new PrecopyInfo((ulong)Math.Max(0, identity.Length - _at), DirtyBytes: 0);
            return _state is null ? Errno.None : Errno.EINVAL;
        }
    }

    protected override EventLoopEvents GetReadiness()
    {
        lock (_lock)
        {
            return _state is not null || _at < identity.Length ? EventLoopEvents.Read : EventLoopEvents.None;
        }
    }
}
