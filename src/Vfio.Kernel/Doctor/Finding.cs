using System.Globalization;

namespace Vfio.Kernel;

/// <summary>One thing that keeps user space from a device, or may: its cause, and what mends it.</summary>
/// <param name="Id">Its number in the documentation, as <c>VFIO2004</c>; the same for every occurrence.</param>
/// <param name="Severity">What it means.</param>
/// <param name="Title">The finding in a few words.</param>
/// <param name="Cause">What was seen, in a sentence.</param>
/// <param name="Fix">What to do, in a sentence; with the command where one does it.</param>
public sealed record Finding(string Id, FindingSeverity Severity, string Title, string Cause, string Fix)
{
    /// <summary>Cause and fix in one line, for a message that begins otherwise.</summary>
    /// <returns>The sentences.</returns>
    public string ToSentences() => $"{Id}: {Cause} {Fix}";

    internal static Finding IommuOff(string cause) => new(
        "VFIO2001",
        FindingSeverity.Error,
        "IOMMU off",
        cause,
        "Turn VT-d or AMD-Vi on in the firmware and boot with intel_iommu=on (Intel; AMD's is on by itself); in a virtual machine, give it a virtual IOMMU.");

    internal static Finding ModuleMissing(string driver) => new(
        "VFIO2002",
        FindingSeverity.Error,
        "module missing",
        $"The kernel has no driver {driver}.",
        $"Run: modprobe {driver}. If there is no such module, the kernel was built without CONFIG_VFIO_PCI.");

    internal static Finding NotBound(PciFunction function) => new(
        "VFIO2003",
        FindingSeverity.Error,
        "not bound to VFIO",
        function.Driver is null ? $"No driver has {function.Address}." : $"The driver {function.Driver} has {function.Address}.",
        $"Run: vfio bind {function.Address}. What the driver offered, a disk or a network interface, is gone then.");

    internal static Finding GroupNotViable(PciFunction function, IReadOnlyList<PciFunction> blockers) => new(
        "VFIO2004",
        FindingSeverity.Error,
        "group not viable",
        $"{function.Address} is in IOMMU group {function.Group} together with {string.Join(", ", blockers.Select(static blocker => $"{blocker.Address} ({blocker.Id}), which {blocker.Driver} has"))}; a group goes to user space as a whole.",
        $"Run: {string.Join("; ", blockers.Select(static blocker => $"vfio bind {blocker.Address}"))}.");

    internal static Finding NoPermission(string path) => new(
        "VFIO2005",
        FindingSeverity.Error,
        "permission",
        $"This user may not open {path}.",
        $"Run: chown {Environment.UserName} {path}, or make that last with a udev rule (SUBSYSTEM==\"vfio\" or \"vfio-dev\", OWNER=\"{Environment.UserName}\").");

    internal static Finding LockedMemory(LockedMemoryBudget budget, ulong need) => new(
        "VFIO2006",
        need > 0 ? FindingSeverity.Error : FindingSeverity.Warning,
        "locked memory",
        string.Create(
            CultureInfo.InvariantCulture,
            $"DMA memory is locked memory; the account of {budget.Account} may lock {budget.Limit} bytes (RLIMIT_MEMLOCK) and has locked {budget.Used}{(need > 0 ? $", and {need} more are wanted" : string.Empty)}."),
        "Raise the limit: ulimit -l unlimited as root, LimitMEMLOCK= of a systemd unit, memlock in /etc/security/limits.conf, --ulimit memlock=-1 of a container.");

    internal static Finding NoIommuMode(string cause) => new(
        "VFIO2007",
        FindingSeverity.Warning,
        "no-IOMMU mode",
        cause,
        "A device without an IOMMU can overwrite all memory: use an IOMMU, or accept that by AllowUnsafeNoIommu (vfio --unsafe-no-iommu) on a machine that may be lost.");

    internal static Finding NoCdev(string cause) => new(
        "VFIO2008",
        FindingSeverity.Note,
        "no device nodes",
        cause,
        "Nothing to do: the group and a type1 container serve. Linux 6.6 or later with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV has both.");

    internal static Finding NoFunction(string address) => new(
        "VFIO2009",
        FindingSeverity.Error,
        "no such function",
        $"There is no PCI function {address}.",
        "Run: vfio list.");

    internal static Finding InUse(string path, IReadOnlyList<string> users) => new(
        "VFIO2010",
        FindingSeverity.Error,
        "in use",
        $"{(users.Count == 0 ? "Another process, or another connection of this one," : string.Join(", ", users))} has {path}; a device has one user at a time.",
        $"End it, or wait for its end. This lists who has it: fuser {path}.");
}
