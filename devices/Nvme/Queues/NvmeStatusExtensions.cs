using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>How a status looks in a completion.</summary>
internal static class NvmeStatusExtensions
{
    private const int More = 1 << 13;
    private const int DoNotRetry = 1 << 14;

    /// <summary>
    /// The status field of a completion, without the phase: code, type, More where the error log tells more, and Do Not Retry where trying again
    /// cannot help.
    /// </summary>
    public static ushort ToField(this NvmeStatus status) => (ushort)((int)status | (status.IsLogged() ? More : 0) | (status.MayRetry() ? 0 : DoNotRetry));

    /// <summary>Whether the error log gets an entry: for all errors but that the host took a command back.</summary>
    public static bool IsLogged(this NvmeStatus status) => status is not (NvmeStatus.Success or NvmeStatus.AbortRequested);

    /// <summary>Whether the health log counts it among media and data integrity errors. A compare that finds a difference is none.</summary>
    public static bool IsMediaError(this NvmeStatus status) => (int)status >> 8 == 2 && status != NvmeStatus.CompareFailure;

    /// <summary>What a host hears when its backend could not read.</summary>
    public static NvmeStatus ToReadStatus(this Errno error) => error switch
    {
        Errno.None => NvmeStatus.Success,
        Errno.ENOTCONN or Errno.ETIMEDOUT => NvmeStatus.NamespaceNotReady,
        _ => NvmeStatus.UnrecoveredRead,
    };

    /// <summary>What a host hears when its backend could not write, clear or flush.</summary>
    public static NvmeStatus ToWriteStatus(this Errno error) => error switch
    {
        Errno.None => NvmeStatus.Success,
        Errno.ENOTCONN or Errno.ETIMEDOUT => NvmeStatus.NamespaceNotReady,
        Errno.ENOSPC or Errno.EDQUOT => NvmeStatus.CapacityExceeded,
        Errno.EROFS or Errno.EPERM => NvmeStatus.NamespaceWriteProtected,
        _ => NvmeStatus.WriteFault,
    };

    private static bool MayRetry(this NvmeStatus status) => status is NvmeStatus.Success
        or NvmeStatus.InternalError
        or NvmeStatus.DataTransferError
        or NvmeStatus.AbortRequested
        or NvmeStatus.AbortedQueueDeleted
        or NvmeStatus.AbortedFailedFused
        or NvmeStatus.AbortedMissingFused
        or NvmeStatus.WriteFault
        or NvmeStatus.TooManyActiveZones
        or NvmeStatus.TooManyOpenZones
        or NvmeStatus.FormatInProgress
        or NvmeStatus.NamespaceNotReady
        or NvmeStatus.UnrecoveredRead;
}
