using System.Runtime.CompilerServices;
using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A user's list of cache invalidations in a hardware's own format (<c>iommu_user_data_array</c>).</summary>
/// <param name="type">Which format.</param>
/// <param name="entries">Where the list is.</param>
/// <param name="entryLength">Length of an entry in bytes.</param>
/// <param name="count">Number of entries; none to ask whether the format is known.</param>
public readonly ref struct InvalidationRequest(uint type, UserArgument entries, uint entryLength, uint count)
{
    private readonly UserArgument _entries = entries;

    /// <summary>Which format.</summary>
    public uint Type { get; } = type;

    /// <summary>Number of entries.</summary>
    public uint Count { get; } = count;

    /// <summary>Copies one entry in.</summary>
    /// <typeparam name="T">The entry's structure.</typeparam>
    /// <param name="index">Its place, below <see cref="Count"/>.</param>
    /// <param name="minimum">End of the last field of its first version.</param>
    /// <param name="value">The entry.</param>
    /// <returns>As <see cref="UserData.Read{T}"/>.</returns>
    /// <remarks><c>iommu_copy_struct_from_user_array</c>.</remarks>
    public Errno Read<T>(uint index, int minimum, out T value)
        where T : unmanaged
    {
        value = default;
        return entryLength > (uint)Unsafe.SizeOf<T>() ? Errno.EINVAL : _entries.From((ulong)index * entryLength).ReadVersioned(entryLength, minimum, out value);
    }
}
