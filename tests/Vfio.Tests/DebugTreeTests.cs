using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>What debugfs shows of devices that can migrate (spec vfio-core §1.7, case 19).</summary>
public sealed class DebugTreeTests
{
    [Fact]
    public async Task Case019_features_have_a_line_each_and_devices_without_migration_no_directory()
    {
        await using CoreFixture f = new();
        _ = f.Add("full", static () => new RecordingDevice { MigrationOperations = new StreamMigration(), LogOperations = new NoLog() });
        _ = f.Add("least", static () => new RecordingDevice { MigrationOperations = new StreamMigration(1) });
        _ = f.Add("none", static () => new RecordingDevice { LogOperations = new NoLog() });
        Assert.Equal("stop-copy\np2p\npre-copy\ndirty-tracking\n", Read(f, "vfio/full/migration/features"));
        Assert.Equal("stop-copy\n", Read(f, "vfio/least/migration/features"));
        Assert.IsType<VirtualDirectory>(f.Host.DebugTree.Find("vfio/none"));
        Assert.Null(f.Host.DebugTree.Find("vfio/none/migration"));
    }

    [Fact]
    public async Task State_is_told_by_its_name()
    {
        await using CoreFixture f = new();
        StreamMigration migration = new();
        _ = f.Add("d0", () => new RecordingDevice { MigrationOperations = migration });
        foreach ((MigrationState state, string text) in new[]
        {
            (MigrationState.Running, "RUNNING\n"), (MigrationState.RunningP2P, "RUNNING_P2P\n"), (MigrationState.Stop, "STOP\n"),
            (MigrationState.Resuming, "RESUMING\n"), (MigrationState.PreCopy, "PRE_COPY\n"), (MigrationState.PreCopyP2P, "PRE_COPY_P2P\n"),
            (MigrationState.StopCopy, "STOP_COPY\n"),
        })
        {
            migration.Feed();
            Assert.Equal(Errno.None, migration.SetState(state, out _));
            Assert.Equal(text, Read(f, "vfio/d0/migration/state"));
        }
    }

    [Fact]
    public async Task Unregistration_takes_the_directory_at_once()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice { MigrationOperations = new StreamMigration() });
        VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(device, "d0");
        VfioDeviceFile file = f.OpenBound();
        Task unregistered = registration.UnregisterAsync(TestContext.Current.CancellationToken);
        Assert.Null(f.Host.DebugTree.Find("vfio/d0"));
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
    }

    private static string Read(CoreFixture f, string path) => Assert.IsType<VirtualAttribute>(f.Host.DebugTree.Find(path)).Read!();

    private sealed class NoLog : IVfioDirtyLog
    {
        public Errno Start(ReadOnlySpan<Vfio.Iommu.IovaRange> ranges, ref ulong pageSize) => Errno.None;

        public Errno Stop() => Errno.None;

        public Errno ReadAndClear(Vfio.Iommu.IovaRange range, DirtyBitmap bitmap) => Errno.None;
    }
}
