using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>
/// Migration of a device whose state is some bytes: saved into data files with pre-copy, resumed from them and checked, with every hop
/// written down.
/// </summary>
internal sealed class StreamMigration(ulong flags = 7) : SteppedMigration
{
    public const int Length = 300;
    private readonly Lock _dataLock = new();
    private readonly List<byte> _received = [];
    private int _initial;
    private int _dirty;
    private bool _final;
    private bool _reinitialized;
    private bool _fed;

    public List<MigrationState> Hops { get; } = [];

    public List<MigrationDataFile> Files { get; } = [];

    public byte[] State { get; private set; } = [.. Enumerable.Range(0, Length).Select(static i => (byte)i)];

    public override MigrationFlags Flags => (MigrationFlags)flags;

    /// <summary>Makes the next resume complete without anybody writing.</summary>
    public void Feed() => _fed = true;

    /// <summary>The device works on while it is in pre-copy.</summary>
    public void Dirty(int bytes, bool reinitialize = false)
    {
        lock (_dataLock)
        {
            _dirty += bytes;
            _reinitialized |= reinitialize;
        }

        ((StreamFile)Files[^1]).Notify();
    }

    public override Errno GetDataSize(out ulong length)
    {
        length = Length;
        return Errno.None;
    }

    protected override Errno Step(MigrationState current, MigrationState next, out MigrationDataFile? file)
    {
        file = null;
        if (current == MigrationState.Resuming)
        {
            if (!_fed && _received.Count != Length)
            {
                return Errno.EINVAL;
            }

            State = [.. _received];
            _fed = false;
        }

        Hops.Add(next);
        bool saves = next is MigrationState.PreCopy or MigrationState.PreCopyP2P or MigrationState.StopCopy;
        bool saved = current is MigrationState.PreCopy or MigrationState.PreCopyP2P or MigrationState.StopCopy;
        lock (_dataLock)
        {
            if (saves && !saved)
            {
                (_initial, _dirty, _reinitialized) = (100, 0, false);
                file = new StreamFile(this, writes: false);
            }
            else if (next == MigrationState.Resuming)
            {
                _received.Clear();
                file = new StreamFile(this, writes: true);
            }

            _final = next == MigrationState.StopCopy;
            if (_final)
            {
                (_initial, _dirty) = (0, Length);
            }
        }

        if (file is not null)
        {
            Files.Add(file);
        }

        return Errno.None;
    }

    private sealed class StreamFile(StreamMigration owner, bool writes) : MigrationDataFile
    {
        public void Notify() => NotifyReadiness();

        protected override IoResult OnRead(Span<byte> buffer)
        {
            if (writes)
            {
                return base.OnRead(buffer);
            }

            lock (owner._dataLock)
            {
                int count = Math.Min(buffer.Length, owner._initial + owner._dirty);
                if (count == 0 && buffer.Length > 0)
                {
                    return owner._final ? IoResult.Success() : Errno.ENOMSG;
                }

                int initial = Math.Min(count, owner._initial);
                owner._initial -= initial;
                int at = owner._final ? Length - owner._dirty : 0;
                owner._dirty -= count - initial;
                owner.State.AsSpan(at, count).CopyTo(buffer);
                return IoResult.Success(count);
            }
        }

        protected override IoResult OnWrite(ReadOnlySpan<byte> buffer)
        {
            if (!writes)
            {
                return base.OnWrite(buffer);
            }

            owner._received.AddRange(buffer);
            return IoResult.Success(buffer.Length);
        }

        protected override Errno OnGetPrecopyInfo(out PrecopyInfo info)
        {
            lock (owner._dataLock)
            {
                info = new PrecopyInfo((ulong)owner._initial, (ulong)owner._dirty, owner._reinitialized);
                return writes || owner._final ? Errno.EINVAL : Errno.None;
            }
        }

        protected override EventLoopEvents GetReadiness()
        {
            lock (owner._dataLock)
            {
                return writes ? EventLoopEvents.Write : owner._final || owner._initial + owner._dirty > 0 ? EventLoopEvents.Read : EventLoopEvents.None;
            }
        }
    }
}
