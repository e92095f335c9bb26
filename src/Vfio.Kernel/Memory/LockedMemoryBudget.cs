using System.Globalization;
using System.Runtime.InteropServices;

namespace Vfio.Kernel;

/// <summary>How much memory may be mapped for DMA, which the kernel counts as locked memory.</summary>
/// <param name="Limit">Bytes; null for no limit, or for a process with CAP_IPC_LOCK, which none applies to.</param>
/// <param name="Used">Bytes that the account has locked already, as far as this process can see.</param>
/// <param name="Account">Whose account it is: this process's, or that of the user with all processes.</param>
/// <remarks><c>vfio_lock_acct</c> counts by process, <c>iopt_pages</c> by user (IOMMU_OPTION_RLIMIT_MODE 0).</remarks>
[StructLayout(LayoutKind.Auto)]
public readonly record struct LockedMemoryBudget(ulong? Limit, ulong Used, string Account)
{
    private const int CapabilityIpcLock = 14;

    /// <summary>Whether so much more can be locked.</summary>
    /// <param name="length">Bytes.</param>
    /// <returns>False when the kernel would refuse it.</returns>
    public bool Allows(ulong length) => Limit is not { } limit || (Used <= limit && length <= limit - Used);

    /// <summary>Reads the budget of this process.</summary>
    internal static LockedMemoryBudget Read(KernelFiles files, KernelPath path)
    {
        bool byProcess = path is KernelPath.GroupType1;
        string account = byProcess ? "this process" : "this user";
        string[] status = ReadLines(files.Proc("self/status"));
        if (ulong.TryParse(ValueOf(status, "CapEff:"), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong capabilities)
            && (capabilities & (1UL << CapabilityIpcLock)) != 0)
        {
            return new LockedMemoryBudget(null, 0, account);
        }

        ulong? limit = ulong.TryParse(ValueOf(ReadLines(files.Proc("self/limits")), "Max locked memory"), CultureInfo.InvariantCulture, out ulong bytes)
            ? bytes
            : null;
        _ = ulong.TryParse(ValueOf(status, byProcess ? "VmLck:" : "VmPin:"), CultureInfo.InvariantCulture, out ulong kibibytes);
        return new LockedMemoryBudget(limit, kibibytes << 10, account);
    }

    /// <summary>The first word behind a line's label.</summary>
    private static string? ValueOf(string[] lines, string label)
        => lines.FirstOrDefault(line => line.StartsWith(label, StringComparison.Ordinal))?[label.Length..]
            .Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();

    private static string[] ReadLines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
