using Vfio.Abi;

namespace Vfio;

/// <summary>What a user may do to a partitionable endpoint (<c>VFIO_EEH_PE_*</c>).</summary>
public enum SpaprEndpointOperation : uint
{
    /// <summary>Ends error handling.</summary>
    Disable = VfioUapi.VFIO_EEH_PE_DISABLE,

    /// <summary>Begins error handling.</summary>
    Enable = VfioUapi.VFIO_EEH_PE_ENABLE,

    /// <summary>Lets register accesses through again.</summary>
    UnfreezeIo = VfioUapi.VFIO_EEH_PE_UNFREEZE_IO,

    /// <summary>Lets DMA through again.</summary>
    UnfreezeDma = VfioUapi.VFIO_EEH_PE_UNFREEZE_DMA,

    /// <summary>Answers the <see cref="SpaprEndpointState"/>.</summary>
    GetState = VfioUapi.VFIO_EEH_PE_GET_STATE,

    /// <summary>Ends a reset.</summary>
    ResetDeactivate = VfioUapi.VFIO_EEH_PE_RESET_DEACTIVATE,

    /// <summary>Begins a hot reset.</summary>
    ResetHot = VfioUapi.VFIO_EEH_PE_RESET_HOT,

    /// <summary>Begins a fundamental reset.</summary>
    ResetFundamental = VfioUapi.VFIO_EEH_PE_RESET_FUNDAMENTAL,

    /// <summary>Restores bridges and functions after a reset.</summary>
    Configure = VfioUapi.VFIO_EEH_PE_CONFIGURE,

    /// <summary>Makes an error, for tests.</summary>
    InjectError = VfioUapi.VFIO_EEH_PE_INJECT_ERR,
}
