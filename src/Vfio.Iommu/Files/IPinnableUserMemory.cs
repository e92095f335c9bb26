using Vfio.Abi;

namespace Vfio;

/// <summary>A caller's memory that can be asked to stay where it is while devices use it.</summary>
/// <remarks>Without it, memory is only looked at when it is pinned: its owner may take it away later, and a use then answers EFAULT.</remarks>
public interface IPinnableUserMemory : IUserMemory
{
    /// <summary>Puts pages in place.</summary>
    /// <param name="address">The caller's address of the first page, page aligned.</param>
    /// <param name="length">Length in bytes, a multiple of the page.</param>
    /// <param name="writable">Whether they will be written.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>: nothing is then pinned.</returns>
    Errno Pin(ulong address, ulong length, bool writable);

    /// <summary>Lets pages go that <see cref="Pin"/> put in place, in whole or in part.</summary>
    /// <param name="address">The caller's address of the first page.</param>
    /// <param name="length">Length in bytes.</param>
    void Unpin(ulong address, ulong length);
}
