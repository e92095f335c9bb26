using System.Runtime.InteropServices;

namespace Vfio.Devices.Nvme;

/// <summary>What the server tells of an export.</summary>
/// <param name="Length">Its length in bytes.</param>
/// <param name="Flags">Transmission flags.</param>
/// <param name="MinimumBlock">Alignment of offsets and lengths in bytes.</param>
/// <param name="MaximumPayload">The most bytes that a request may carry.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct NbdExport(ulong Length, ushort Flags, uint MinimumBlock, uint MaximumPayload)
{
    public bool Has(ushort flag) => (Flags & NbdProtocol.HasFlags) != 0 && (Flags & flag) != 0;
}
