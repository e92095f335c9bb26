using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User.Tests.Devices;

/// <summary>Migration that counts its hops, fails where it is told to, and moves a string of bytes.</summary>
public sealed class TestMigration : SteppedMigration
{
    public List<MigrationState> Hops { get; } = [];

    /// <summary>The state that cannot be entered.</summary>
    public MigrationState? Broken { get; set; }

    public Errno BrokenWith { get; set; } = Errno.EIO;

    public byte[] State { get; set; } = [];

    public List<byte> Received { get; } = [];

    public override MigrationFlags Flags => MigrationFlags.StopCopy | MigrationFlags.PreCopy;

    public override Errno GetDataSize(out ulong length)
    {
        length = (ulong)State.Length;
        return Errno.None;
    }

    protected override Errno Step(MigrationState current, MigrationState next, out MigrationDataFile? file)
    {
        file = null;
        if (next == Broken)
        {
            return BrokenWith;
        }

        Hops.Add(next);
        file = next switch
        {
            MigrationState.PreCopy or MigrationState.StopCopy => new Data(this),
            MigrationState.Resuming => new Data(this),
            _ => null,
        };
        return Errno.None;
    }

    private sealed class Data(TestMigration owner) : MigrationDataFile
    {
        private int _at;

        protected override IoResult OnRead(Span<byte> buffer)
        {
            // In small pieces, as a device may: the server puts them together.
            int count = Math.Min(Math.Min(buffer.Length, 100), owner.State.Length - _at);
            owner.State.AsSpan(_at, count).CopyTo(buffer);
            _at += count;
            return IoResult.Success(count);
        }

        protected override IoResult OnWrite(ReadOnlySpan<byte> buffer)
        {
            int count = Math.Min(buffer.Length, 100);
            owner.Received.AddRange(buffer[..count]);
            return IoResult.Success(count);
        }
    }
}
