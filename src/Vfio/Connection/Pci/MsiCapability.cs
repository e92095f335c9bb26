using System.Runtime.InteropServices;

namespace Vfio;

/// <summary>The MSI capability (PCI 3.0 §6.8.1).</summary>
/// <param name="Offset">Where it starts in configuration space, in bytes.</param>
/// <param name="IsEnabled">Whether the function sends messages.</param>
/// <param name="Vectors">How many it can send: 1 to 32.</param>
/// <param name="Is64Bit">Whether the address has 64 bits.</param>
/// <param name="HasMasks">Whether each vector has a mask.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct MsiCapability(int Offset, bool IsEnabled, int Vectors, bool Is64Bit, bool HasMasks)
{
    internal static MsiCapability Read(VfioRegion config, int offset)
    {
        ushort control = config.Read16((ulong)offset + 2);
        return new MsiCapability(offset, (control & 1) != 0, 1 << Math.Min((control >> 1) & 7, 5), (control & 0x80) != 0, (control & 0x100) != 0);
    }
}
