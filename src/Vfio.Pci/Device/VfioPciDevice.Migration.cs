using Microsoft.Extensions.Logging;
using Vfio.Abi;

namespace Vfio.Pci;

/// <content>Migration of devices that said <see cref="PciDeviceBuilder.Migratable"/>; ADR 0406.</content>
public abstract partial class VfioPciDevice
{
    /// <summary>
    /// How long a stop waits for runs under way. One that waits for the user to answer a message cannot end before the user has its answer to the stop.
    /// </summary>
    private static readonly TimeSpan s_pauseLimit = TimeSpan.FromSeconds(1);

    private PciMigration? _migration;
    private DmaDirtyLog? _dirtyLog;
    private bool _areWorksPaused;

    /// <inheritdoc/>
    /// <remarks>Made by <see cref="PciDeviceBuilder.Migratable"/>.</remarks>
    protected override IVfioMigration? Migration => _migration;

    /// <inheritdoc/>
    /// <remarks>Made by <see cref="PciDeviceBuilder.Migratable"/>: what <see cref="VfioDevice.Dma"/> writes.</remarks>
    protected override IVfioDirtyLog? DirtyLog => _dirtyLog;

    /// <summary>The most bytes that <see cref="SaveState"/> writes. More is not taken from a user.</summary>
    protected internal virtual long MaximumStateLength => 64 * 1024;

    /// <summary>
    /// Writes what another device must have in common with this one to take its state, such as settings that the state depends on. It is constant, is
    /// sent first, in pre-copy, and compared byte by byte. Any thread; no lock.
    /// </summary>
    /// <param name="writer">Receives it, at most 4096 bytes.</param>
    protected internal virtual void SaveIdentity(DeviceStateWriter writer)
    {
    }

    /// <summary>The device's works have stopped for a migration state in which nothing of it runs. No lock; may wait, for example to flush.</summary>
    /// <returns><see cref="Errno.None"/>, or why the device cannot be stopped now: it goes on.</returns>
    protected internal virtual Errno OnStopped() => Errno.None;

    /// <summary>
    /// Writes what the device's state is besides its register files and what its works wait for. Nothing of the device runs. Runs with the state lock held.
    /// </summary>
    /// <param name="writer">Receives the state. Begin with a version if it may change.</param>
    protected internal virtual void SaveState(DeviceStateWriter writer)
    {
    }

    /// <summary>
    /// Takes what <see cref="SaveState"/> wrote, from anywhere. The registers have their new content already; nothing of the device runs. Runs with the
    /// state lock held.
    /// </summary>
    /// <param name="reader">The state; all of it must be read.</param>
    /// <returns><see cref="Errno.None"/>, or why it is refused: the device is reset then.</returns>
    protected internal virtual Errno TryRestoreState(ref DeviceStateReader reader) => Errno.None;

    /// <summary>The device runs again after a migration state in which nothing of it ran. Runs with the state lock held, before its works go on.</summary>
    /// <param name="isRestored">Whether its state came from elsewhere: interrupts that wait are told again.</param>
    protected internal virtual void OnContinued(bool isRestored)
    {
    }

    /// <summary>Stops all works. On return none runs.</summary>
    /// <returns><see cref="Errno.ETIMEDOUT"/> when one does not end; all go on then.</returns>
    internal Errno PauseWorks()
    {
        DeviceWork[] works = Works(paused: true);
        foreach (DeviceWork work in works)
        {
            work.Pause();
        }

        long end = Environment.TickCount64 + (long)s_pauseLimit.TotalMilliseconds;
        foreach (DeviceWork work in works)
        {
            if (!work.Drain(TimeSpan.FromMilliseconds(Math.Max(0, end - Environment.TickCount64))))
            {
                ResumeWorks();
                LogNotStopped(Name, work.Name);
                return Errno.ETIMEDOUT;
            }
        }

        return Errno.None;
    }

    internal void ResumeWorks()
    {
        foreach (DeviceWork work in Works(paused: false))
        {
            work.Resume();
        }
    }

    /// <summary>All works, in the order in which they were made.</summary>
    internal DeviceWork[] Works()
    {
        lock (StateLock)
        {
            return [.. _works];
        }
    }

    private DeviceWork[] Works(bool paused)
    {
        lock (StateLock)
        {
            _areWorksPaused = paused;
            return [.. _works];
        }
    }

    /// <summary>The register files and where they are.</summary>
    internal IEnumerable<(int Bar, ulong Offset, RegisterFile File)> RegisterFiles()
    {
        for (int bar = 0; bar < _bars.Length; bar++)
        {
            foreach (BarArea area in _bars[bar]?.Areas ?? [])
            {
                if (area.Block is RegisterFile file)
                {
                    yield return (bar, area.Offset, file);
                }
            }
        }
    }

    /// <summary>What was restored in part is given up.</summary>
    internal void ResetAfterRefusal() => Reset(ResetKind.DeviceReset);

    internal void LogStateRefused(string reason)
    {
        if (TryLog(out long swallowed))
        {
            LogRefused(Name, reason, swallowed);
        }
    }

    [LoggerMessage(EventId = 3009, Level = LogLevel.Warning, Message = "{Device}: a saved state is refused: {Reason} ({Swallowed} such lines were left out)")]
    private partial void LogRefused(string device, string reason, long swallowed);

    [LoggerMessage(EventId = 3010, Level = LogLevel.Warning, Message = "{Device}: it cannot be stopped for migration, work '{Work}' does not end in time; it goes on. Ask again; if its DMA goes by messages, when less of it is under way")]
    private partial void LogNotStopped(string device, string work);
}
