using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.User.Tests.Conformance;

/// <summary>Makes messages that are nearly right of right ones, by a seed.</summary>
internal static class Mutation
{
    private static readonly uint[] s_edges = [0, 1, 7, 8, 15, 16, 17, 31, 32, 4095, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 32, int.MaxValue, 0x80000000, uint.MaxValue - 1, uint.MaxValue];

    /// <summary>Changes a message, or leaves it.</summary>
    public static byte[] Apply(Random random, byte[] message)
    {
        switch (random.Next(40))
        {
            case < 10:
                return message;
            case < 20:
                message[random.Next(VfioUserWire.HeaderSize, Math.Max(VfioUserWire.HeaderSize + 1, message.Length)) % message.Length] ^= (byte)(1 << random.Next(8));
                return message;
            case < 32 when message.Length >= VfioUserWire.HeaderSize + 4:
                int words = (message.Length - VfioUserWire.HeaderSize) / 4;
                BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(VfioUserWire.HeaderSize + (4 * random.Next(words))), s_edges[random.Next(s_edges.Length)]);
                return message;
            case < 35:
                // Shorter or longer, and saying so.
                byte[] resized = new byte[VfioUserWire.HeaderSize + random.Next(200)];
                message.AsSpan(0, Math.Min(message.Length, resized.Length)).CopyTo(resized);
                BinaryPrimitives.WriteUInt32LittleEndian(resized.AsSpan(4), (uint)resized.Length);
                return resized;
            case < 38:
                BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(2), (ushort)random.Next(25));
                return message;
            case 38:
                message[8 + random.Next(8)] ^= (byte)(1 << random.Next(8));
                return message;
            default:
                // A size that is not the message's: what follows is taken for its rest, or it is refused.
                if (random.Next(8) == 0)
                {
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), s_edges[random.Next(s_edges.Length)]);
                }

                return message;
        }
    }
}
