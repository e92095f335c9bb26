using Vfio.Abi;

namespace Vfio;

/// <summary>The state of a partitionable endpoint (<c>VFIO_EEH_PE_STATE_*</c>).</summary>
public enum SpaprEndpointState : uint
{
    /// <summary>Works.</summary>
    Normal = VfioUapi.VFIO_EEH_PE_STATE_NORMAL,

    /// <summary>Held in reset.</summary>
    Reset = VfioUapi.VFIO_EEH_PE_STATE_RESET,

    /// <summary>Frozen: neither register accesses nor DMA get through.</summary>
    Stopped = VfioUapi.VFIO_EEH_PE_STATE_STOPPED,

    /// <summary>Register accesses get through again, DMA does not.</summary>
    StoppedDma = VfioUapi.VFIO_EEH_PE_STATE_STOPPED_DMA,

    /// <summary>Lost, or in a state that has no name.</summary>
    Unavailable = VfioUapi.VFIO_EEH_PE_STATE_UNAVAIL,
}
