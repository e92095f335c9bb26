using Vfio.Abi;
using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Iommu;
using Vfio.Testing;

namespace Vfio.Devices.Nvme.Tests.Migration;

/// <summary>
/// What a hypervisor does to move a host with its controller: pre-copy while the host runs, then, with its processors stopped, the rest. What only
/// the device writes is copied by the device's log alone, so that a page which is missing there is missing in the host's memory.
/// </summary>
internal sealed class MovingHost(IoLoad load, NvmeRig from, RawQueue queue)
{
    private const int Page = 4096;

    private readonly HashSet<ulong> _writtenByDevice = [from.Admin.Completions.Iova, queue.Completions.Iova, load.Reads.Iova];
    private byte[] _snapshot = [];

    /// <summary>Begins: the log, a first copy of memory, and what the controller tells in pre-copy.</summary>
    public void Begin(NvmeRig to)
    {
        ulong pageSize = Page;
        Assert.Equal(Errno.None, from.Connection.TryStartDirtyLog([], ref pageSize));
        load.WhileStopped(() => _snapshot = [.. from.Buffers.SelectMany(static buffer => buffer.Span.ToArray())]);
        Assert.Equal(Errno.None, from.Connection.TrySetMigrationState(MigrationState.PreCopy));
        Assert.Equal(Errno.None, to.Connection.TrySetMigrationState(MigrationState.Resuming));
        Give(to, DeviceState.ReadRest(from.Connection));
    }

    /// <summary>Moves it.</summary>
    /// <returns>How many commands were outstanding.</returns>
    public int Move(NvmeRig to)
    {
        int outstanding = 0;
        load.WhileStopped(() =>
        {
            outstanding = load.Outstanding;
            Assert.Equal(Errno.None, from.Connection.TrySetMigrationState(MigrationState.StopCopy));
            Give(to, DeviceState.ReadRest(from.Connection));
            to.Follow(from);
            CopyMemory(to);
            to.EnableBus();
            Assert.Equal(Errno.None, to.Connection.TrySetMigrationState(MigrationState.Running));
            load.MoveTo(to);
        });
        return outstanding;
    }

    /// <summary>Stops a controller, and has another go on with its memory as it is.</summary>
    public static byte[] MoveIdle(NvmeRig from, NvmeRig to)
    {
        byte[] state = DeviceState.Save(from.Connection);
        to.Follow(from);
        foreach (DmaBuffer buffer in from.Buffers)
        {
            buffer.Span.CopyTo(to.Like(buffer).Span);
        }

        to.EnableBus();
        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));
        return state;
    }

    private static void Give(NvmeRig to, byte[] state) => Assert.Equal(state.Length, to.Connection.TryWriteMigrationData(state).Count);

    private void CopyMemory(NvmeRig to)
    {
        int at = 0;
        foreach (DmaBuffer buffer in from.Buffers)
        {
            Span<byte> target = to.Like(buffer).Span;
            bool isLogged = _writtenByDevice.Contains(buffer.Iova);

            // What was taken after the first copy is empty in it.
            Span<byte> first = _snapshot.AsSpan(Math.Min(at, _snapshot.Length));
            first[..Math.Min(first.Length, target.Length)].CopyTo(target);
            at += target.Length;
            if (!isLogged)
            {
                buffer.Span.CopyTo(target);
                continue;
            }

            _ = IovaRange.TryCreate(buffer.Iova, buffer.Length, out IovaRange range);
            ulong[] dirty = new ulong[(buffer.Length / Page / 64) + 1];
            Assert.Equal(Errno.None, from.Connection.TryReadDirtyLog(range, Page, dirty));
            for (int page = 0; page < target.Length / Page; page++)
            {
                if ((dirty[page / 64] & (1UL << (page % 64))) != 0)
                {
                    buffer.Span.Slice(page * Page, Page).CopyTo(target[(page * Page)..]);
                }
            }
        }
    }
}
