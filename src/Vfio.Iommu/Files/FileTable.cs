using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>The descriptors of the caller of an ioctl: what the numbers inside its structures mean.</summary>
/// <remarks>Stands for the calling process's table in the kernel. Injected, so that full tables and foreign processes can be served and tested.</remarks>
public abstract class FileTable
{
    /// <summary>Finds what a number means.</summary>
    /// <param name="number">The descriptor number.</param>
    /// <param name="file">An object of ours (such as an iommufd context) or a <see cref="FileDescriptor"/>, owned by the table.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EBADF"/>.</returns>
    public abstract Errno TryGet(int number, out object? file);

    /// <summary>Gives the caller a new file.</summary>
    /// <param name="file">The file; the table owns it when this succeeds.</param>
    /// <returns>The new number, or <see cref="Errno.EMFILE"/>.</returns>
    public abstract IoResult Install(object file);

    /// <summary>Takes back what <see cref="Install"/> put in, because the command failed after all. The file belongs to the caller again.</summary>
    /// <param name="number">The number that Install answered.</param>
    public abstract void Remove(int number);

    /// <summary>Whether the table has room, for commands that check this before they act. <see cref="Install"/> may fail all the same.</summary>
    public virtual bool HasRoom => true;
}
