using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Tool.Lspci;

/// <summary>A copy of a function's configuration space and, where a connection gave it, the sizes of its regions.</summary>
internal sealed class ConfigImage
{
    private const int ConventionalLength = 256;
    private readonly byte[] _bytes;
    private readonly ulong[] _sizes;

    /// <summary>Makes an image of bytes.</summary>
    /// <param name="bytes">The configuration space from offset 0: 256 or 4096 bytes.</param>
    /// <param name="sizes">Sizes of BAR 0 to 5 and the ROM; empty when they are not known, as in a dump.</param>
    public ConfigImage(ReadOnlySpan<byte> bytes, ReadOnlySpan<ulong> sizes = default)
    {
        _bytes = bytes.ToArray();
        _sizes = new ulong[PciLayout.RegionCount];
        sizes[..Math.Min(sizes.Length, _sizes.Length)].CopyTo(_sizes);
    }

    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>Whether there is more than the conventional 256 bytes.</summary>
    public bool IsExtended => _bytes.Length > ConventionalLength;

    /// <summary>Reads all of it from a device, four bytes at a time.</summary>
    /// <exception cref="VfioException">The device has no configuration space, or does not answer.</exception>
    public static ConfigImage Read(VfioConnection connection)
    {
        VfioRegion config = connection.Config;
        if (config.Size < ConventionalLength)
        {
            throw new VfioException(Errno.ENODEV, $"read the configuration space of {connection.Address}", "The device has none: it is no PCI device.");
        }

        byte[] bytes = new byte[Math.Min(config.Size, 4096)];
        for (int at = 0; at + sizeof(uint) <= bytes.Length; at += sizeof(uint))
        {
            config.Read((ulong)at, bytes.AsSpan(at, sizeof(uint)));
        }

        Span<ulong> sizes = stackalloc ulong[(int)PciRegion.Rom + 1];
        for (int i = 0; i < sizes.Length; i++)
        {
            sizes[i] = connection.Region((PciRegion)i).Size;
        }

        return new ConfigImage(bytes, sizes);
    }

    /// <summary>A region's size in bytes; 0 when it is not known.</summary>
    public ulong SizeOf(PciRegion region) => _sizes[(int)region];

    /// <summary>Whether the image has these bytes.</summary>
    public bool Has(int offset, int length) => offset >= 0 && offset + length <= _bytes.Length;

    // What lies behind the end reads as zero: a capability may claim to be longer than the space.
    public byte Byte(int offset) => Has(offset, 1) ? _bytes[offset] : (byte)0;

    public ushort Word(int offset) => Has(offset, 2) ? BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(offset)) : (ushort)0;

    public uint Long(int offset) => Has(offset, 4) ? BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(offset)) : 0;
}
