using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Architecture.Tests.Readme;

public sealed class ScratchMigration(ScratchDevice device) : SteppedMigration
{
    private List<byte> _received = [];

    public override MigrationFlags Flags => MigrationFlags.StopCopy;

    public override Errno GetDataSize(out ulong length)
    {
        length = ScratchDevice.Size;
        return Errno.None;
    }

    protected override Errno Step(MigrationState current, MigrationState next, out MigrationDataFile? file)
    {
        file = null;
        switch (current, next)
        {
            case (MigrationState.Stop, MigrationState.StopCopy):
                file = new SavedState(device.Save());
                break;
            case (MigrationState.Stop, MigrationState.Resuming):
                _received = [];
                file = new StateToResume(_received);
                break;
            case (MigrationState.Resuming, MigrationState.Stop):
                if (_received.Count != ScratchDevice.Size)
                {
                    return Errno.EINVAL;
                }

                device.Load([.. _received]);
                break;
        }

        return Errno.None;
    }

    private sealed class SavedState(byte[] state) : MigrationDataFile
    {
        private readonly Lock _lock = new();
        private int _at;

        protected override IoResult OnRead(Span<byte> buffer)
        {
            lock (_lock)
            {
                int count = Math.Min(buffer.Length, state.Length - _at);
                state.AsSpan(_at, count).CopyTo(buffer);
                _at += count;
                return IoResult.Success(count);   // 0 is the end
            }
        }
    }

    private sealed class StateToResume(List<byte> received) : MigrationDataFile
    {
        private readonly Lock _lock = new();

        protected override IoResult OnWrite(ReadOnlySpan<byte> buffer)
        {
            lock (_lock)
            {
                int count = Math.Min(buffer.Length, ScratchDevice.Size - received.Count);
                received.AddRange(buffer[..count]);
                return count == buffer.Length ? IoResult.Success(count) : Errno.EINVAL;
            }
        }
    }
}
