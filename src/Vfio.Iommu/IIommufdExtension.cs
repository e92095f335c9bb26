using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>Commands that contexts have besides iommufd's own, such as those by which programs test iommufd itself.</summary>
/// <remarks>One extension may serve many contexts, whose users call it at once.</remarks>
public interface IIommufdExtension
{
    /// <summary>Executes a command that iommufd does not have.</summary>
    /// <param name="context">The context that it was given to.</param>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure.</param>
    /// <returns>0 or more, or an errno; <see cref="Abi.Errno.ENOTTY"/> for a command that the extension does not have either. No lock is held.</returns>
    IoResult Ioctl(IommufdContext context, uint command, UserArgument argument);

    /// <summary>Told of memory that is about to be mapped, at each map; a source may come several times.</summary>
    /// <param name="source">The memory. It may be gone once no area shows it any more; <see cref="MemorySource.AddReference"/> keeps it.</param>
    void Mapping(MemorySource source);
}
