using System.Runtime.InteropServices;

namespace Vfio;

/// <summary>The MSI-X capability (PCI 3.0 §6.8.2).</summary>
/// <param name="Offset">Where it starts in configuration space, in bytes.</param>
/// <param name="IsEnabled">Whether the function sends messages.</param>
/// <param name="IsMasked">Whether all of them are held back.</param>
/// <param name="Vectors">How many it can send: 1 to 2048.</param>
/// <param name="TableBar">The BAR of the table, 0 to 5; 6 and 7 are reserved.</param>
/// <param name="TableOffset">Where the table starts in it, in bytes; 16 bytes a vector.</param>
/// <param name="PendingBar">The BAR of the pending bits.</param>
/// <param name="PendingOffset">Where they start in it, in bytes.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct MsixCapability(
    int Offset, bool IsEnabled, bool IsMasked, int Vectors, int TableBar, uint TableOffset, int PendingBar, uint PendingOffset)
{
    internal static MsixCapability Read(VfioRegion config, int offset)
    {
        ushort control = config.Read16((ulong)offset + 2);
        uint table = config.Read32((ulong)offset + 4);
        uint pending = config.Read32((ulong)offset + 8);
        return new MsixCapability(
            offset, (control & 0x8000) != 0, (control & 0x4000) != 0, (control & 0x7FF) + 1, (int)(table & 7), table & ~7u, (int)(pending & 7), pending & ~7u);
    }
}
