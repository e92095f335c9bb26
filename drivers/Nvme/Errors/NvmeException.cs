using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <summary>A command that the device refused, or that it did not answer.</summary>
/// <remarks>The controller stays usable, unless its <see cref="NvmeController.State"/> says that it failed.</remarks>
public sealed class NvmeException : VfioException
{
    internal NvmeException(NvmeStatus status, string operation)
        : base(ErrnoOf(status), operation, $"The controller answered {status}.")
    {
        Status = status;
    }

    internal NvmeException(Errno errno, string operation, string hint)
        : base(errno, operation, hint)
    {
    }

    /// <summary>The status that the device gave, by its standard name; null when it gave none: it did not answer, or was reset or lost.</summary>
    public NvmeStatus? Status { get; }

    private static Errno ErrnoOf(NvmeStatus status) => (status.Type, status.Code) switch
    {
        (NvmeStatusType.Generic, 0x01) => Errno.EOPNOTSUPP,
        (NvmeStatusType.Generic, 0x02 or 0x80) => Errno.EINVAL,
        (NvmeStatusType.Generic, 0x07) => Errno.ETIMEDOUT,
        (NvmeStatusType.Generic, 0x20) => Errno.EROFS,
        (NvmeStatusType.Generic, 0x81) => Errno.ENOSPC,
        (NvmeStatusType.Generic, 0x83) => Errno.EBUSY,
        (NvmeStatusType.MediaAndDataIntegrity, 0x81) => Errno.ENODATA,
        _ => Errno.EIO,
    };
}
