using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The process of a program whose call is being served on this thread: what a host's options ask about its callers.</summary>
/// <remarks>
/// <code>
/// new VfioHostOptions { Capabilities = ProgramCaller.GetCapabilities, ProcessAccount = ProgramCaller.GetAccount }
/// </code>
/// With them iommufd charges memory to the process that maps it, and its <c>/proc/PID/status</c> says so (VmPin, VmLck).
/// </remarks>
public static class ProgramCaller
{
    private const int IpcLock = 14;

    [ThreadStatic]
    private static SupervisedProcess? t_process;

    /// <summary>What the caller is privileged to: everything, as programs run here without privileges; but only who has CAP_IPC_LOCK is not charged for memory.</summary>
    /// <returns>Its capabilities.</returns>
    public static CallerCapabilities GetCapabilities()
        => t_process is { } process && !ProcessCapabilities.IsEffective(process.Id, IpcLock) ? CallerCapabilities.All & ~CallerCapabilities.IpcLock : CallerCapabilities.All;

    /// <summary>What the caller's memory is charged to.</summary>
    /// <returns>The account; null when no call of a program is being served.</returns>
    public static ProcessMemoryAccount? GetAccount() => t_process?.Account;

    /// <summary>Says whose call this thread serves now; null for nobody's.</summary>
    internal static void Set(SupervisedProcess? process) => t_process = process;
}
