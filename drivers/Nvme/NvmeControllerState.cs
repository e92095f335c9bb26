namespace Vfio.Drivers.Nvme;

/// <summary>Where a controller is in its life.</summary>
public enum NvmeControllerState
{
    /// <summary>It is being brought up.</summary>
    Initializing,

    /// <summary>It takes commands.</summary>
    Live,

    /// <summary>It is being reset; what is submitted waits.</summary>
    Resetting,

    /// <summary>It did not come back, or is gone; every operation fails.</summary>
    Failed,

    /// <summary>The driver let it go.</summary>
    Disposed,
}
