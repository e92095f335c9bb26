using Vfio.Abi;

namespace Vfio.TestUtilities;

/// <summary>A caller's memory: some bytes at 0x10000, of which a tail may be read-only.</summary>
public sealed class TestUserMemory(int size, int writable = int.MaxValue) : IUserMemory
{
    public const ulong Base = 0x10000;

    public byte[] Bytes { get; } = new byte[size];

    public Errno Read(ulong address, Span<byte> destination)
    {
        if (!Contains(address, destination.Length, Bytes.Length))
        {
            return Errno.EFAULT;
        }

        Bytes.AsSpan((int)(address - Base), destination.Length).CopyTo(destination);
        return Errno.None;
    }

    public Errno Write(ulong address, ReadOnlySpan<byte> source)
    {
        if (!Contains(address, source.Length, Math.Min(writable, Bytes.Length)))
        {
            return Errno.EFAULT;
        }

        source.CopyTo(Bytes.AsSpan((int)(address - Base)));
        return Errno.None;
    }

    private static bool Contains(ulong address, int length, int size) => address >= Base && address - Base <= (ulong)size && (ulong)length <= (ulong)size - (address - Base);
}
