namespace Vfio.Devices.Igb;

/// <summary>The CRC of Ethernet frames (IEEE 802.3), and that of SCTP (CRC-32C).</summary>
internal static class Crc32
{
    private static readonly uint[] s_ethernet = Table(0xEDB8_8320);
    private static readonly uint[] s_castagnoli = Table(0x82F6_3B78);

    public static uint Ethernet(ReadOnlySpan<byte> bytes) => Of(s_ethernet, bytes);

    public static uint Castagnoli(ReadOnlySpan<byte> bytes) => Of(s_castagnoli, bytes);

    private static uint Of(uint[] table, ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            crc = table[(byte)(crc ^ value)] ^ (crc >> 8);
        }

        return ~crc;
    }

    private static uint[] Table(uint polynomial)
    {
        var table = new uint[256];
        for (uint i = 0; i < 256; i++)
        {
            uint value = i;
            for (int bit = 0; bit < 8; bit++)
            {
                value = (value & 1) != 0 ? polynomial ^ (value >> 1) : value >> 1;
            }

            table[i] = value;
        }

        return table;
    }
}
