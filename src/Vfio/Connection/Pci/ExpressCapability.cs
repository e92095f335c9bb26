using System.Runtime.InteropServices;

namespace Vfio;

/// <summary>The PCI Express capability (PCI Express 5.0 §7.5.3).</summary>
/// <param name="Offset">Where it starts in configuration space, in bytes.</param>
/// <param name="PortType">Device or port type: 0 endpoint, 1 legacy endpoint, 9 integrated endpoint.</param>
/// <param name="HasFunctionReset">Whether the function can be reset alone.</param>
/// <param name="MaximumPayload">The largest packet that it is set to send, in bytes.</param>
/// <param name="MaximumReadRequest">The largest read that it is set to ask for, in bytes.</param>
/// <param name="LinkSpeed">The link's speed: 1 for 2.5 GT/s, 2 for 5, 3 for 8 and so on; 0 for an integrated endpoint.</param>
/// <param name="LinkWidth">The link's width in lanes.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct ExpressCapability(
    int Offset, int PortType, bool HasFunctionReset, int MaximumPayload, int MaximumReadRequest, int LinkSpeed, int LinkWidth)
{
    /// <summary>Where the device status register is, from the start.</summary>
    internal const int DeviceStatus = 0x0A;

    /// <summary>Requests of the function's are still unanswered.</summary>
    internal const ushort TransactionsPending = 0x20;

    internal static ExpressCapability Read(VfioRegion config, int offset)
    {
        ulong at = (ulong)offset;
        ushort control = config.Read16(at + 0x08);
        ushort link = config.Read16(at + 0x12);
        return new ExpressCapability(
            offset,
            (config.Read16(at + 0x02) >> 4) & 0xF,
            (config.Read32(at + 0x04) & (1u << 28)) != 0,
            128 << ((control >> 5) & 7),
            128 << ((control >> 12) & 7),
            link & 0xF,
            (link >> 4) & 0x3F);
    }
}
