namespace Vfio.Pci;

/// <summary>What caused a reset of a device.</summary>
public enum ResetKind
{
    /// <summary>The device came into being; its first reset.</summary>
    PowerOn,

    /// <summary>The user asked by DEVICE_RESET.</summary>
    DeviceReset,

    /// <summary>The guest set Initiate Function Level Reset in the PCI Express capability.</summary>
    FunctionLevel,

    /// <summary>The user reset the bus (PCI_HOT_RESET).</summary>
    BusReset,

    /// <summary>The last user closed the device, or its process or connection died.</summary>
    LostClient,
}
