using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Zones;

/// <summary>What Zone Management Receive tells.</summary>
internal sealed record ZoneReport(ulong Count, IReadOnlyList<ZoneReport.Zone> Zones)
{
    private const int DescriptorLength = 64;

    /// <summary>Asks for zones by way of <see cref="NvmeRig.Data"/>.</summary>
    /// <param name="rig">The host.</param>
    /// <param name="queue">An I/O queue.</param>
    /// <param name="block">SLBA.</param>
    /// <param name="room">Descriptors that there is room for.</param>
    /// <param name="filter">ZRASF.</param>
    /// <param name="isPartial">Partial Report.</param>
    /// <param name="nsid">The namespace.</param>
    public static ZoneReport Get(NvmeRig rig, RawQueue queue, ulong block = 0, int room = 64, byte filter = 0, bool isPartial = false, uint nsid = 1)
    {
        int length = DescriptorLength * (room + 1);
        rig.Data.Slice(0, length).Fill(0xEE);
        RawCommand command = rig.Transfer(0x7A, block, 1, nsid: nsid).Set(12, (uint)(length / 4) - 1).Set(13, (uint)filter << 8 | (isPartial ? 1U << 16 : 0));
        rig.SetPrps(command, 0, length);
        Assert.Equal(0, queue.Execute(command).Status);
        Span<byte> data = rig.Data.Slice(0, length);
        ulong count = BinaryPrimitives.ReadUInt64LittleEndian(data);
        Assert.Equal(-1, data[8..DescriptorLength].IndexOfAnyExcept((byte)0));
        var zones = new List<Zone>();
        for (int i = 1; i <= room && data[i * DescriptorLength] != 0; i++)
        {
            Span<byte> descriptor = data.Slice(i * DescriptorLength, DescriptorLength);
            Assert.Equal(2, descriptor[0]);
            Assert.Equal(0, descriptor[1] & 15);
            zones.Add(new Zone(
                descriptor[1] >> 4,
                BinaryPrimitives.ReadUInt64LittleEndian(descriptor[8..]),
                BinaryPrimitives.ReadUInt64LittleEndian(descriptor[16..]),
                BinaryPrimitives.ReadUInt64LittleEndian(descriptor[24..])));
        }

        // Behind the last descriptor nothing of the device's memory.
        Assert.Equal(-1, data[((zones.Count + 1) * DescriptorLength)..].IndexOfAnyExcept((byte)0));
        return new ZoneReport(count, zones);
    }

    /// <summary>A descriptor.</summary>
    /// <param name="State">ZS.</param>
    /// <param name="Capacity">Blocks that can be written.</param>
    /// <param name="Start">ZSLBA.</param>
    /// <param name="Pointer">WP.</param>
    internal sealed record Zone(int State, ulong Capacity, ulong Start, ulong Pointer);
}
