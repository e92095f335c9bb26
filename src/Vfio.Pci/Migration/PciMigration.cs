using Vfio.Abi;

namespace Vfio.Pci;

/// <summary>Migration of a PCI device: stop, copy, go on elsewhere. Pre-copy tells who the device is, so that a mismatch shows while it still runs.</summary>
/// <remarks>Lock order: the walk's lock, then the device's state lock or that of a data file.</remarks>
internal sealed class PciMigration(VfioPciDevice device) : SteppedMigration
{
    private SavedDeviceState? _saving;
    private ReceivedDeviceState? _receiving;
    private bool _isPaused;
    private bool _isRestored;

    public override MigrationFlags Flags => MigrationFlags.StopCopy | MigrationFlags.PreCopy;

    public override Errno GetDataSize(out ulong length)
    {
        length = (ulong)PciDeviceState.MaximumLength(device);
        return Errno.None;
    }

    protected override Errno Step(MigrationState current, MigrationState next, out MigrationDataFile? file)
    {
        file = null;
        switch (current, next)
        {
            case (MigrationState.Running, MigrationState.Stop):
                return Pause();
            case (MigrationState.Stop, MigrationState.Running):
                Continue();
                return Errno.None;
            case (MigrationState.Running, MigrationState.PreCopy):
                file = _saving = new SavedDeviceState(PciDeviceState.SaveIdentity(device));
                return Errno.None;
            case (MigrationState.PreCopy, MigrationState.StopCopy):
                return StopAndSave();
            case (MigrationState.Stop, MigrationState.StopCopy):
                file = _saving = new SavedDeviceState(PciDeviceState.SaveIdentity(device));
                _saving.Complete(PciDeviceState.Save(device));
                return Errno.None;
            case (MigrationState.Stop, MigrationState.Resuming):
                file = _receiving = new ReceivedDeviceState(device);
                return Errno.None;
            case (MigrationState.Resuming, MigrationState.Stop):
                return Restore();
            default:
                // From a saving state back: the file ends, and that is all.
                _saving = null;
                return Errno.None;
        }
    }

    protected override void EndSession()
    {
        _saving = null;
        _receiving = null;
        if (_isPaused)
        {
            _isPaused = false;
            _isRestored = false;
            device.ResumeWorks();
        }
    }

    private Errno Pause()
    {
        Errno error = device.PauseWorks();
        if (error == Errno.None)
        {
            error = device.OnStopped();
            _isPaused = error == Errno.None;
            if (!_isPaused)
            {
                device.ResumeWorks();
            }
        }

        return error;
    }

    private void Continue()
    {
        lock (device.StateLock)
        {
            device.OnContinued(_isRestored);
        }

        _isPaused = false;
        _isRestored = false;
        device.ResumeWorks();
    }

    private Errno StopAndSave()
    {
        Errno error = Pause();
        if (error == Errno.None)
        {
            _saving!.Complete(PciDeviceState.Save(device));
        }

        return error;
    }

    private Errno Restore()
    {
        Errno error = _receiving!.TryRestore();
        if (error == Errno.None)
        {
            _receiving = null;
            _isRestored = true;
        }

        return error;
    }
}
