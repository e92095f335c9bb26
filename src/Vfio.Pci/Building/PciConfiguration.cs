namespace Vfio.Pci;

/// <summary>What <see cref="PciDeviceBuilder"/> made: constant while the device lives, except for the content of <see cref="Config"/>.</summary>
internal sealed class PciConfiguration
{
    public required ConfigSpace Config { get; init; }

    public required PciBar?[] Bars { get; init; }

    /// <summary>The ROM's content, not rounded; null without a ROM.</summary>
    public required byte[]? Rom { get; init; }

    public required ulong RomSize { get; init; }

    public required PciInterrupts Interrupts { get; init; }

    public required int PowerOffset { get; init; }

    public required int ExpressOffset { get; init; }

    public required bool EnforceDecode { get; init; }

    /// <summary>Whether it can be migrated.</summary>
    public required bool IsMigratable { get; init; }

    public required bool CanReset { get; init; }

    public required PciDoorbell[] Doorbells { get; init; }

    /// <summary>Where the device stands; null when it stands alone.</summary>
    public required PciFunction? Place { get; init; }

    /// <summary>Of a physical function, what its users and those of its virtual functions share.</summary>
    public required VirtualFunctionToken? Token { get; init; }

    /// <summary>Of a physical function, what virtual ones it can have; null when that was not declared.</summary>
    public required VirtualFunctionSet? VirtualFunctions { get; init; }

    /// <summary>Where the capability of single root I/O virtualization is; 0 without.</summary>
    public required int SingleRootOffset { get; init; }

    public required bool IsVirtualFunction { get; init; }

    /// <summary>Of a virtual function, the physical one if VFIO has it.</summary>
    public required VfioPciDevice? PhysicalFunction { get; init; }
}
