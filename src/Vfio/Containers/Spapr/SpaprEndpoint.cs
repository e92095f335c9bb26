using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>A simulated partitionable endpoint: the unit in which a pSeries platform stops and restarts devices on errors (EEH).</summary>
/// <remarks>Spec vfio-core §11; <c>arch/powerpc/kernel/eeh.c</c>. Safe for concurrent use; its lock is a leaf, and <see cref="Changed"/> is raised outside it.</remarks>
public sealed class SpaprEndpoint
{
    private const uint MaximumErrorType = 1;
    private const uint MaximumErrorFunction = 19;
    private readonly Lock _lock = new();
    private bool _io = true;
    private bool _dma = true;
    private bool _reset;
    private bool _lost;

    /// <summary>Whether register accesses get through; otherwise they read ones.</summary>
    public bool IsIoEnabled
    {
        get
        {
            lock (_lock)
            {
                return _io && !_reset && !_lost;
            }
        }
    }

    /// <summary>Whether DMA gets through.</summary>
    public bool IsDmaEnabled
    {
        get
        {
            lock (_lock)
            {
                return _dma && !_reset && !_lost;
            }
        }
    }

    /// <summary>The state.</summary>
    /// <remarks><c>eeh_pe_get_state</c>.</remarks>
    public SpaprEndpointState State
    {
        get
        {
            lock (_lock)
            {
                return _lost ? SpaprEndpointState.Unavailable
                    : _reset ? SpaprEndpointState.Reset
                    : (_io, _dma) switch
                    {
                        (true, true) => SpaprEndpointState.Normal,
                        (false, false) => SpaprEndpointState.Stopped,
                        (true, false) => SpaprEndpointState.StoppedDma,
                        (false, true) => SpaprEndpointState.Unavailable,
                    };
            }
        }
    }

    /// <summary>Raised after an operation of the user, or an error, with what it was; an error is <see cref="SpaprEndpointOperation.InjectError"/>.</summary>
    public event Action<SpaprEndpointOperation>? Changed;

    /// <summary>The platform detected an error: everything stops.</summary>
    public void Freeze()
    {
        lock (_lock)
        {
            (_io, _dma) = (false, false);
        }

        Changed?.Invoke(SpaprEndpointOperation.InjectError);
    }

    /// <summary>The platform gave the endpoint up; nothing brings it back.</summary>
    public void Lose()
    {
        lock (_lock)
        {
            _lost = true;
        }

        Changed?.Invoke(SpaprEndpointOperation.InjectError);
    }

    /// <summary>Executes an operation of a user.</summary>
    /// <param name="operation">What to do; not <see cref="SpaprEndpointOperation.InjectError"/>, see <see cref="Inject"/>.</param>
    /// <returns>0; the state for <see cref="SpaprEndpointOperation.GetState"/>; <see cref="Errno.EIO"/> of a lost endpoint; <see cref="Errno.EINVAL"/> for an unknown operation.</returns>
    public IoResult Execute(SpaprEndpointOperation operation)
    {
        if (operation == SpaprEndpointOperation.GetState)
        {
            return IoResult.Success((long)State);
        }

        lock (_lock)
        {
            if (operation is > SpaprEndpointOperation.Enable and <= SpaprEndpointOperation.ResetFundamental && _lost)
            {
                return Errno.EIO;
            }

            switch (operation)
            {
                case SpaprEndpointOperation.Disable or SpaprEndpointOperation.Enable or SpaprEndpointOperation.Configure:
                    break;
                case SpaprEndpointOperation.UnfreezeIo or SpaprEndpointOperation.UnfreezeDma when _reset:
                    return Errno.EIO;
                case SpaprEndpointOperation.UnfreezeIo:
                    _io = true;
                    break;
                case SpaprEndpointOperation.UnfreezeDma:
                    _dma = true;
                    break;
                case SpaprEndpointOperation.ResetHot or SpaprEndpointOperation.ResetFundamental:
                    _reset = true;
                    break;
                case SpaprEndpointOperation.ResetDeactivate:
                    (_io, _dma, _reset) = (true, true, false);
                    break;
                default:
                    return Errno.EINVAL;
            }
        }

        Changed?.Invoke(operation);
        return IoResult.Success();
    }

    /// <summary>Makes an error, as a fault of the bus would.</summary>
    /// <param name="type">0 for 32-bit, 1 for 64-bit addresses.</param>
    /// <param name="function">0 to 19: what kind of access fails.</param>
    /// <param name="address">Where.</param>
    /// <param name="mask">Which bits of the address count.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> for a kind that does not exist.</returns>
    /// <remarks><c>eeh_pe_inject_err</c>. The simulated endpoint freezes whatever the address.</remarks>
    public Errno Inject(uint type, uint function, ulong address, ulong mask)
    {
        if (type > MaximumErrorType || function > MaximumErrorFunction || (type == 0 && (address | mask) > uint.MaxValue))
        {
            return Errno.EINVAL;
        }

        Freeze();
        return Errno.None;
    }
}
