namespace Vfio.Run;

/// <summary>What the argument of a command is.</summary>
internal enum ArgumentKind
{
    /// <summary>Nothing: the value is not looked at.</summary>
    None,

    /// <summary>The number of an extension or an IOMMU type.</summary>
    Extension,

    /// <summary>The address of a structure.</summary>
    Structure,

    /// <summary>The address of a descriptor's number.</summary>
    Descriptor,

    /// <summary>The address of a text that ends with a zero byte.</summary>
    Text,

    /// <summary>The address of a <c>vfio_irq_set</c> and its data.</summary>
    InterruptSet,

    /// <summary>The address of a <c>vfio_device_feature</c>, whose flags say what is behind it.</summary>
    Feature,
}
