using System.Buffers.Binary;

namespace Vfio.Devices.Igb;

/// <summary>The checksum of IP, TCP and UDP (RFC 1071).</summary>
internal static class InternetChecksum
{
    /// <summary>Adds bytes to a sum, as big-endian words.</summary>
    public static ulong Add(ulong sum, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 4)
        {
            sum += BinaryPrimitives.ReadUInt32BigEndian(bytes);
            bytes = bytes[4..];
        }

        if (bytes.Length >= 2)
        {
            sum += (uint)BinaryPrimitives.ReadUInt16BigEndian(bytes);
            bytes = bytes[2..];
        }

        return bytes.IsEmpty ? sum : sum + ((uint)bytes[0] << 8);
    }

    /// <summary>Adds the addresses, protocol and length that TCP and UDP cover.</summary>
    public static ulong AddPseudoHeader(ReadOnlySpan<byte> network, bool isVersion4, int protocol, int length)
        => Add((uint)protocol + (uint)length, isVersion4 ? network.Slice(12, 8) : network.Slice(8, 32));

    /// <summary>The sixteen bits of a sum, not inverted.</summary>
    public static ushort Fold(ulong sum)
    {
        while (sum >> 16 != 0)
        {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }

        return (ushort)sum;
    }
}
