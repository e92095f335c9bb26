using System.Numerics;

namespace Vfio.Devices.Igb;

/// <summary>The CRC of Ethernet frames (IEEE 802.3), and that of SCTP (CRC-32C).</summary>
internal static class Crc32
{
    private static readonly uint[] s_ethernet = MakeTable();

    public static uint Ethernet(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            crc = s_ethernet[(byte)(crc ^ value)] ^ (crc >> 8);
        }

        return ~crc;
    }

    public static uint Castagnoli(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }

    private static uint[] MakeTable()
    {
        const uint Polynomial = 0xEDB8_8320;
        var table = new uint[256];
        for (uint i = 0; i < 256; i++)
        {
            uint value = i;
            for (int bit = 0; bit < 8; bit++)
            {
                value = (value & 1) != 0 ? Polynomial ^ (value >> 1) : value >> 1;
            }

            table[i] = value;
        }

        return table;
    }
}
