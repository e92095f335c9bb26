namespace Vfio.Pci;

/// <summary>What a write to configuration space touched, so that the device can react after the write.</summary>
[Flags]
internal enum ConfigEvents : byte
{
    None = 0,

    /// <summary>The Command register changed.</summary>
    Command = 1,

    /// <summary>A base address register changed.</summary>
    Bar = 2,

    /// <summary>PMCSR changed.</summary>
    Power = 4,

    /// <summary>The MSI capability changed.</summary>
    Msi = 8,

    /// <summary>The MSI-X message control changed.</summary>
    Msix = 0x10,

    /// <summary>Initiate Function Level Reset was written as one.</summary>
    FunctionReset = 0x20,

    /// <summary>Something of the device author's own (vendor capability) changed.</summary>
    Vendor = 0x40,
}
