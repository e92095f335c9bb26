namespace Vfio.Drivers.Nvme;

/// <summary>Why a request did not succeed.</summary>
internal enum RequestFailure
{
    /// <summary>It did, or is still under way.</summary>
    None,

    /// <summary>The device answered with a status.</summary>
    Status,

    /// <summary>The device did not answer in time.</summary>
    TimedOut,

    /// <summary>A reset of the controller took it, and it is not one that is sent again.</summary>
    Reset,

    /// <summary>The controller failed, or is gone.</summary>
    ControllerFailed,

    /// <summary>The driver was disposed.</summary>
    Disposed,
}
