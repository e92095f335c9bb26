namespace Vfio.User;

/// <summary>The arrays in which a connection's messages are collected: small at first, and larger with what is in flight at once.</summary>
internal static class MessageBuffer
{
    /// <summary>Bytes of a connection's first one.</summary>
    public const int SmallSize = 4 * 1024;

    /// <summary>Bytes of what it grows to; beyond that only for a message that is larger.</summary>
    public const int FullSize = 64 * 1024;

    /// <summary>Makes an array. Its content is undefined.</summary>
    /// <remarks>
    /// Large ones are pinned, since system calls use them all the time. A connection's first is an ordinary array: one on the heap of pinned objects takes ten
    /// times as long to get.
    /// </remarks>
    public static byte[] Allocate(int size) => GC.AllocateUninitializedArray<byte>(size, pinned: size > SmallSize);
}
