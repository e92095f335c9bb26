using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Architecture.Tests.Readme;

internal static class PacketReader
{
    // A packet that the driver laid out in three pieces, of which the last two continue each other.
    public static Errno Fetch(DmaSpace dma, ulong header, ulong body, Span<byte> packet)
    {
        ReadOnlySpan<DmaSegment> pieces = [new(header, 64), new(body, 4096), new(body + 4096, 1000)];
        return dma.Read(pieces, packet[..(64 + 4096 + 1000)], out _);
    }
}
