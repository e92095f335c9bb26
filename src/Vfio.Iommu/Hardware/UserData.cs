using System.Runtime.CompilerServices;
using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>Data in a hardware's own format that a user passes with a command.</summary>
/// <param name="type">Which format.</param>
/// <param name="argument">Where it is.</param>
/// <param name="length">Its length in bytes; 0 when there is none.</param>
public readonly ref struct UserData(uint type, UserArgument argument, uint length)
{
    private readonly UserArgument _argument = argument;

    /// <summary>Which format.</summary>
    public uint Type { get; } = type;

    /// <summary>Length in bytes.</summary>
    public uint Length { get; } = length;

    /// <summary>Copies it in.</summary>
    /// <typeparam name="T">The format's structure.</typeparam>
    /// <param name="type">The format that the caller understands.</param>
    /// <param name="minimum">End of the last field of its first version.</param>
    /// <param name="value">The structure; a missing tail is zero.</param>
    /// <returns><see cref="Errno.EINVAL"/> for another format, too short, or longer than the structure; <see cref="Errno.EFAULT"/>.</returns>
    /// <remarks><c>iommu_copy_struct_from_user</c>. Unlike a command's own structure, a longer one is refused even when its tail is zero.</remarks>
    public Errno Read<T>(uint type, int minimum, out T value)
        where T : unmanaged
    {
        value = default;
        return Type != type || Length > Unsafe.SizeOf<T>() ? Errno.EINVAL : _argument.ReadVersioned(Length, minimum, out value);
    }

    /// <summary>Copies the answer out, as much of it as the user has room for.</summary>
    /// <typeparam name="T">The format's structure.</typeparam>
    /// <param name="value">The structure.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    /// <remarks><c>iommu_copy_struct_to_user</c>.</remarks>
    public Errno Write<T>(in T value)
        where T : unmanaged
        => _argument.WriteVersioned(Length, in value);
}
