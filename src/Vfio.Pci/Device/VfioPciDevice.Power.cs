using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <content>Runtime power management (spec vfio-core §5.12: LOW_POWER_ENTRY, …_WITH_WAKEUP, LOW_POWER_EXIT).</content>
public abstract partial class VfioPciDevice
{
    /// <summary>Guarded by the state lock, except for <see cref="LowPower.IsEngaged"/>.</summary>
    private readonly LowPower _lowPower = new();

    /// <summary>Whether the user has let the device sleep and it does.</summary>
    public bool IsSuspended
    {
        get
        {
            lock (StateLock)
            {
                return _lowPower.IsSuspended;
            }
        }
    }

    /// <summary>The device falls asleep: its user engaged low power, and nobody accesses it now. Runs with the state lock held.</summary>
    /// <remarks><c>runtime_suspend</c>. Registers keep their values: vfio-pci saves and restores them around D3cold.</remarks>
    protected virtual void OnSuspended()
    {
    }

    /// <summary>The device wakes: for an access, by <see cref="WakeUp"/>, or because its user ended low power. Runs with the state lock held.</summary>
    /// <returns><see cref="Errno.None"/>; anything else fails the access with EIO, and the device sleeps on.</returns>
    /// <remarks><c>runtime_resume</c>.</remarks>
    protected virtual Errno OnResumed() => Errno.None;

    /// <summary>Wakes the sleeping device, as a wake event (PME) of real hardware does. Its user hears of it if it asked to.</summary>
    /// <remarks>
    /// A user that gave a wake-up eventfd gets a signal, and low power has ended; for another the device falls asleep again at once. Nothing
    /// happens while the device is awake.
    /// </remarks>
    protected void WakeUp()
    {
        lock (StateLock)
        {
            if (_lowPower.IsSuspended && TryBeginAccess())
            {
                EndAccess();
            }
        }
    }

    /// <summary>Runs around everything a user does to the device: it is awake meanwhile.</summary>
    /// <returns>False when it does not wake: EIO.</returns>
    private bool TryBeginAccess()
    {
        lock (StateLock)
        {
            if (_lowPower.IsSuspended && OnResumed() != Errno.None)
            {
                return false;
            }

            if (_lowPower.Resume())
            {
                UpdateDmaBufs();
            }

            return true;
        }
    }

    private void EndAccess()
    {
        lock (StateLock)
        {
            if (_lowPower.Release())
            {
                UpdateDmaBufs();
                OnSuspended();
            }
        }
    }

    private IoResult LowPowerEntryFeature(uint flags, UserArgument data, ulong size, bool withWakeup)
    {
        ulong needed = withWakeup ? 8u : 0u;
        if (!FeatureRequest.ShallExecute(flags, size, VfioUapi.VFIO_DEVICE_FEATURE_SET, needed, out IoResult done))
        {
            return done;
        }

        EventFd? wake = null;
        if (withWakeup)
        {
            Errno error = data.Read(0, out vfio_device_low_power_entry_with_wakeup entry);
            if (error != Errno.None || entry.wakeup_eventfd < 0)
            {
                return error != Errno.None ? error : Errno.EINVAL;
            }

            error = PciInterrupts.TakeEventFd(entry.wakeup_eventfd, data.Files, out wake);
            if (error != Errno.None)
            {
                return error;
            }
        }

        lock (StateLock)
        {
            Errno error = _lowPower.Enter(wake);
            if (error != Errno.None)
            {
                wake?.Dispose();
                return error;
            }

            UpdateDmaBufs();
            if (_lowPower.TrySuspend())
            {
                OnSuspended();
            }
        }

        return IoResult.Success();
    }

    private IoResult LowPowerExitFeature(uint flags, ulong size)
    {
        if (!FeatureRequest.ShallExecute(flags, size, VfioUapi.VFIO_DEVICE_FEATURE_SET, 0, out IoResult done))
        {
            return done;
        }

        // Whoever asks has woken the device by asking.
        ExitLowPower();
        return IoResult.Success();
    }

    private void ExitLowPower()
    {
        lock (StateLock)
        {
            if (_lowPower.IsSuspended)
            {
                _ = OnResumed();
            }

            _lowPower.Exit();
            UpdateDmaBufs();
        }
    }
}
