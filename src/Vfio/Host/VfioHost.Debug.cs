using System.Text;
using Vfio.Abi;

namespace Vfio;

public sealed partial class VfioHost
{
    /// <summary>
    /// What debugfs shows of VFIO: <c>vfio/PARENT/migration/state</c> and <c>…/features</c> for each registered device that can migrate.
    /// </summary>
    /// <remarks><c>vfio_device_debugfs_init</c>; spec vfio-core §1.7. A device's directory goes as its unregistration begins.</remarks>
    public IVirtualTree DebugTree => new VirtualDirectory(string.Empty, () => [new VirtualDirectory("vfio", () => Devices.Select(DebugDirectory))]);

    private static VirtualDirectory DebugDirectory(VfioDevice device)
        => new(device.Name, () => device.Migration is { } migration
            ? [new VirtualDirectory("migration", () =>
            [
                new VirtualAttribute("state", () => StateText(migration)),
                new VirtualAttribute("features", () => FeaturesText(migration.Flags, device.HasDirtyLog)),
            ])]
            : []);

    private static string StateText(IVfioMigration migration)
    {
        Errno error = migration.GetState(out MigrationState state);
        return (error != Errno.None ? null : state switch
        {
            MigrationState.Error => "ERROR",
            MigrationState.Stop => "STOP",
            MigrationState.Running => "RUNNING",
            MigrationState.StopCopy => "STOP_COPY",
            MigrationState.Resuming => "RESUMING",
            MigrationState.RunningP2P => "RUNNING_P2P",
            MigrationState.PreCopy => "PRE_COPY",
            MigrationState.PreCopyP2P => "PRE_COPY_P2P",
            _ => null,
        } ?? "Invalid") + "\n";
    }

    private static string FeaturesText(MigrationFlags flags, bool logs)
    {
        StringBuilder text = new();
        Add((flags & MigrationFlags.StopCopy) != 0, "stop-copy");
        Add((flags & MigrationFlags.P2P) != 0, "p2p");
        Add((flags & MigrationFlags.PreCopy) != 0, "pre-copy");
        Add(logs, "dirty-tracking");
        return text.ToString();

        void Add(bool present, string name) => text.Append(present ? name + "\n" : string.Empty);
    }
}
