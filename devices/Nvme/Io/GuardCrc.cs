using System.Buffers.Binary;

namespace Vfio.Devices.Nvme;

/// <summary>CRC-16/T10-DIF: the guard of protection information (NVM Command Set 1.0 §5.2.1.1): polynomial 8BB7h, from zero, most significant bit first.</summary>
internal static class GuardCrc
{
    private const int Polynomial = 0x8BB7;

    /// <summary>Bytes that are taken at a time.</summary>
    private const int Slices = 16;

    /// <summary>For each slice and byte: what the byte comes to with that many bytes behind it.</summary>
    private static readonly ushort[] s_table = MakeTable();

    public static ushort Compute(ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<ushort> table = s_table;
        uint crc = 0;
        while (data.Length >= Slices)
        {
            ulong first = BinaryPrimitives.ReadUInt64BigEndian(data) ^ ((ulong)crc << 48);
            ulong second = BinaryPrimitives.ReadUInt64BigEndian(data[8..]);
            crc = (uint)(table[(15 * 256) + (byte)(first >> 56)]
                ^ table[(14 * 256) + (byte)(first >> 48)]
                ^ table[(13 * 256) + (byte)(first >> 40)]
                ^ table[(12 * 256) + (byte)(first >> 32)]
                ^ table[(11 * 256) + (byte)(first >> 24)]
                ^ table[(10 * 256) + (byte)(first >> 16)]
                ^ table[(9 * 256) + (byte)(first >> 8)]
                ^ table[(8 * 256) + (byte)first]
                ^ table[(7 * 256) + (byte)(second >> 56)]
                ^ table[(6 * 256) + (byte)(second >> 48)]
                ^ table[(5 * 256) + (byte)(second >> 40)]
                ^ table[(4 * 256) + (byte)(second >> 32)]
                ^ table[(3 * 256) + (byte)(second >> 24)]
                ^ table[(2 * 256) + (byte)(second >> 16)]
                ^ table[256 + (byte)(second >> 8)]
                ^ table[(byte)second]);
            data = data[Slices..];
        }

        foreach (byte next in data)
        {
            crc = (crc << 8) ^ table[(byte)(crc >> 8) ^ next];
        }

        return (ushort)crc;
    }

    private static ushort[] MakeTable()
    {
        ushort[] table = new ushort[Slices * 256];
        for (int value = 0; value < 256; value++)
        {
            int crc = value << 8;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? Polynomial : 0);
            }

            table[value] = (ushort)crc;
        }

        for (int slice = 1; slice < Slices; slice++)
        {
            for (int value = 0; value < 256; value++)
            {
                int before = table[((slice - 1) * 256) + value];
                table[(slice * 256) + value] = (ushort)((before << 8) ^ table[before >> 8]);
            }
        }

        return table;
    }
}
