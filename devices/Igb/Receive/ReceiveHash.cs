using System.Buffers.Binary;

namespace Vfio.Devices.Igb;

/// <summary>The hash of receive side scaling (Toeplitz), and what of a packet it covers.</summary>
internal static class ReceiveHash
{
    /// <summary>Addresses of IPv6, and ports.</summary>
    private const int LongestInput = 36;

    /// <summary>Hashes a packet.</summary>
    /// <param name="fields">MRQC, whose bits 24:16 say what is hashed.</param>
    /// <param name="key">The key's ten words.</param>
    /// <param name="frame">The packet.</param>
    /// <param name="layout">Its layout.</param>
    /// <param name="hash">The hash; 0 when nothing is hashed.</param>
    /// <returns>The hash's type as a descriptor has it; 0 when nothing is hashed.</returns>
    public static uint Compute(uint fields, ReadOnlySpan<uint> key, ReadOnlySpan<byte> frame, in EthernetFrame layout, out uint hash)
    {
        hash = 0;
        uint type = TypeOf(fields, layout, out bool hasPorts);
        if (type == 0)
        {
            return 0;
        }

        Span<byte> input = stackalloc byte[LongestInput];
        int length = layout.IsVersion4 ? 8 : 32;
        frame.Slice(layout.Network + (layout.IsVersion4 ? 12 : 8), length).CopyTo(input);
        if (hasPorts)
        {
            frame.Slice(layout.Transport, 4).CopyTo(input[length..]);
            length += 4;
        }

        // The key's window of 32 bits moves on by a bit for each bit of the input. The key's first byte is the lowest of its first word.
        uint window = BinaryPrimitives.ReverseEndianness(key[0]);
        for (int i = 0; i < length; i++)
        {
            byte next = (byte)(key[(i + 4) / 4] >> (8 * ((i + 4) % 4)));
            for (int bit = 7; bit >= 0; bit--)
            {
                if ((input[i] & (1 << bit)) != 0)
                {
                    hash ^= window;
                }

                window = (window << 1) | (uint)((next >> bit) & 1);
            }
        }

        return type;
    }

    private static uint TypeOf(uint fields, in EthernetFrame layout, out bool hasPorts)
    {
        bool isTcp = layout.HasTransport && layout.Protocol == EthernetFrame.Tcp;
        bool isUdp = layout.HasTransport && layout.Protocol == EthernetFrame.Udp;
        hasPorts = true;
        if (layout.IsVersion4)
        {
            if (isTcp && Has(16))
            {
                return 1;
            }

            if (isUdp && Has(22))
            {
                return 7;
            }

            hasPorts = false;
            return Has(17) ? 2U : 0;
        }

        if (!layout.IsVersion6)
        {
            return 0;
        }

        if (isTcp && (Has(21) || Has(18)))
        {
            return Has(21) ? 3U : 6;
        }

        if (isUdp && (Has(23) || Has(24)))
        {
            return Has(23) ? 8U : 9;
        }

        hasPorts = false;
        return Has(20) ? 5U : Has(19) ? 4U : 0;

        bool Has(int bit) => (fields & (1U << bit)) != 0;
    }
}
