using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>
/// The low power state that a user puts its device into (spec vfio-core §5.12, features 3 to 5): while it is engaged the device sleeps whenever
/// nobody accesses it.
/// </summary>
/// <remarks>Its lock is taken inside the device's state lock, which the callers of everything but <see cref="IsEngaged"/> hold; it guards the wake-up eventfd.</remarks>
internal sealed class LowPower
{
    private EventFd? _wake;
    private int _users;
    private volatile bool _engaged;

    /// <summary>Whether accesses must wake the device first.</summary>
    public bool IsEngaged => _engaged;

    /// <summary>Whether the device sleeps now.</summary>
    public bool IsSuspended { get; private set; }

    /// <summary>Engages.</summary>
    /// <param name="wake">What to signal when the device wakes; owned from here on, or null.</param>
    /// <returns><see cref="Errno.EINVAL"/> when it is engaged already.</returns>
    public Errno Enter(EventFd? wake)
    {
        if (_engaged)
        {
            return Errno.EINVAL;
        }

        _wake = wake;
        _engaged = true;
        return Errno.None;
    }

    /// <summary>Disengages; without effect otherwise. The device is awake.</summary>
    public void Exit()
    {
        _engaged = false;
        IsSuspended = false;
        _wake?.Dispose();
        _wake = null;
    }

    /// <summary>An access begins.</summary>
    /// <returns>True when the device slept: it is awake now, and its user hears of it.</returns>
    public bool Resume()
    {
        _users++;
        if (!IsSuspended)
        {
            return false;
        }

        IsSuspended = false;
        if (_wake is not null)
        {
            _ = _wake.Signal();
            Exit();
        }

        return true;
    }

    /// <summary>An access ended.</summary>
    /// <returns>True when the device falls asleep.</returns>
    public bool Release()
    {
        _users--;
        return TrySuspend();
    }

    /// <summary>Lets the device sleep when it may.</summary>
    public bool TrySuspend()
    {
        if (!_engaged || _users != 0 || IsSuspended)
        {
            return false;
        }

        IsSuspended = true;
        return true;
    }
}
