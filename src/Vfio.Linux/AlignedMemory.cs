using System.Runtime.InteropServices;

namespace Vfio.Linux;

/// <summary>Managed memory at aligned addresses, as transfers with <see cref="OpenMode.Direct"/> want it.</summary>
public static class AlignedMemory
{
    /// <summary>Makes memory of zeros that the collector never moves.</summary>
    /// <param name="length">Length in bytes.</param>
    /// <param name="alignment">Alignment of its address in bytes: a power of two.</param>
    public static Memory<byte> Make(int length, int alignment)
    {
        byte[] array = GC.AllocateArray<byte>(checked(length + alignment), pinned: true);
        int over = (int)(Marshal.UnsafeAddrOfPinnedArrayElement(array, 0) & (alignment - 1));
        return array.AsMemory(alignment - over, length);
    }

    /// <summary>Whether memory begins at an aligned address now. The collector can move what is not pinned.</summary>
    /// <param name="memory">The memory.</param>
    /// <param name="alignment">The alignment in bytes: a power of two.</param>
    public static unsafe bool IsAligned(ReadOnlySpan<byte> memory, uint alignment)
    {
        // SAFETY: only the number is used.
        fixed (byte* pointer = memory)
        {
            return ((nuint)pointer & (alignment - 1)) == 0;
        }
    }
}
