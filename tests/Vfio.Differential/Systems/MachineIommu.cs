using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Differential;

/// <summary>The properties of the IOMMU in front of the virtual machine's devices: QEMU's <c>intel-iommu</c> with 48 bits of address and no scalable mode.</summary>
internal static class MachineIommu
{
    private const ulong ApertureSize = 1UL << 48;
    private const ulong MessageWindow = 0xFEE0_0000;
    private const ulong MessageWindowSize = 0x10_0000;

    public static IIommuHardware Instance { get; } = new SimulatedIommu
    {
        PageSizes = 0x4020_1000,
        Aperture = Range(0, ApertureSize),
        EnforcesCoherency = false,
        DescriptionType = IommufdUapi.IOMMU_HW_INFO_TYPE_INTEL_VTD,
        Description = Describe(),
        ReservedRegions = [new ReservedRegion(Range(MessageWindow, MessageWindowSize))],
    };

    /// <summary>Its capability registers, as the virtual machine's kernel reads them.</summary>
    private static byte[] Describe()
    {
        byte[] description = new byte[Unsafe.SizeOf<iommu_hw_info_vtd>()];
        MemoryMarshal.Write(description, new iommu_hw_info_vtd { flags = 1, cap_reg = 0x80D2_008C_222F_0686, ecap_reg = 0xF00F4A });
        return description;
    }

    private static IovaRange Range(ulong start, ulong length)
        => IovaRange.TryCreate(start, length, out IovaRange range) ? range : throw new InvalidOperationException("Not a range.");
}
