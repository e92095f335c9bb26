using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <summary>Finds out why a kernel does not give a device to user space.</summary>
/// <param name="files">Where the kernel's file systems are.</param>
public sealed class KernelDoctor(KernelFiles files)
{
    private const ulong ComfortableLockedMemory = 64 << 20;
    private readonly PciSysfs _sysfs = new(files);

    /// <summary>Looks at what concerns every device, and at the functions that VFIO drivers have.</summary>
    /// <returns>The findings, gravest first.</returns>
    public IReadOnlyList<Finding> Examine()
        => Order([.. ExamineKernel(), .. _sysfs.GetFunctions().Where(static function => function.IsHeldByVfio).SelectMany(ExamineFunction)]);

    /// <summary>Looks at one function, and at what concerns every device.</summary>
    /// <param name="address">The function.</param>
    /// <returns>The findings, gravest first; none that is an error when the function can be opened.</returns>
    public IReadOnlyList<Finding> Examine(PciAddress address)
        => _sysfs.Find(address) is { } function
            ? Order([.. ExamineKernel(), .. ExamineFunction(function)])
            : [Finding.NoFunction(address.ToString())];

    /// <summary>Tells whether a function has a group that is no group, because there is no IOMMU behind it.</summary>
    internal bool IsWithoutIommu(PciFunction function)
        => function.Group is { } group
            && PciSysfs.ReadText(files.Sys($"kernel/iommu_groups/{group}"), "name") == "vfio-noiommu";

    // Each finding once, an error before a note: what is said first is what to do first.
    private static IReadOnlyList<Finding> Order(IEnumerable<Finding> findings)
        => [.. findings.Distinct().OrderByDescending(static finding => finding.Severity).ThenBy(static finding => finding.Id, StringComparer.Ordinal)];

    private static bool HasEntries(string folder) => Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any();

    private IEnumerable<Finding> ExamineKernel()
    {
        bool unsafeMode = PciSysfs.ReadText(files.Sys("module/vfio/parameters"), "enable_unsafe_noiommu_mode") is "Y" or "1";
        if (unsafeMode)
        {
            yield return Finding.NoIommuMode("The kernel gives devices without an IOMMU to user space (vfio.enable_unsafe_noiommu_mode).");
        }

        if (!HasEntries(files.Sys("kernel/iommu_groups")) && !unsafeMode)
        {
            yield return Finding.IommuOff("The kernel has no IOMMU groups: no IOMMU is in use.");
        }

        if (!Directory.Exists(files.Sys("bus/pci/drivers/vfio-pci")))
        {
            yield return Finding.ModuleMissing("vfio-pci");
        }

        if (!File.Exists(files.Iommu))
        {
            yield return Finding.NoCdev($"There is no {files.Iommu}: this kernel has no iommufd, or its module is not loaded (modprobe iommufd).");
            if (!File.Exists(files.Container))
            {
                yield return Finding.ModuleMissing("vfio");
            }
        }

        LockedMemoryBudget budget = LockedMemoryBudget.Read(files, KernelPath.GroupType1);
        if (budget.Limit < ComfortableLockedMemory)
        {
            yield return Finding.LockedMemory(budget, 0);
        }
    }

    private IEnumerable<Finding> ExamineFunction(PciFunction function)
    {
        if (!function.IsHeldByVfio)
        {
            yield return Finding.NotBound(function);
        }

        if (function.Group is not { } group)
        {
            yield return Finding.IommuOff($"{function.Address} has no IOMMU group: no IOMMU is between it and memory.");
            yield break;
        }

        if (IsWithoutIommu(function))
        {
            yield return Finding.NoIommuMode($"{function.Address} has no IOMMU; the kernel gives it to user space all the same.");
        }

        PciFunction[] blockers = [.. _sysfs.GetGroupMembers(group).Where(member => member.HoldsGroupBack && member.Address != function.Address)];
        if (blockers.Length > 0)
        {
            yield return Finding.GroupNotViable(function, blockers);
        }

        if (!function.IsHeldByVfio)
        {
            yield break;
        }

        string? node = function.VfioDevice is { } name && File.Exists(files.DeviceNode(name)) ? files.DeviceNode(name) : null;
        if (node is null && File.Exists(files.Iommu))
        {
            yield return Finding.NoCdev($"The kernel has no node below {files.Dev("vfio/devices")} for {function.Address}.");
        }

        string groupNode = IsWithoutIommu(function) ? files.NoIommuNode(group) : files.GroupNode(group);
        foreach (string held in node is null ? [groupNode] : (string[])[node, groupNode])
        {
            // A node of a device opens any number of times; only one of the openings gets the device.
            if (NodeUsers.Find(files, held) is { Count: > 0 } users)
            {
                yield return Finding.InUse(held, users);
                yield break;
            }
        }

        Finding[] refusals = [.. Refusals(node is null ? [] : [files.Iommu, node])];
        if (node is not null && refusals.Length == 0)
        {
            yield break;
        }

        // What one way refuses matters only when the other way is closed too.
        Finding[] others = [.. Refusals(File.Exists(groupNode) && File.Exists(files.Container) ? [files.Container, groupNode] : [])];
        if (others.Length > 0 || !File.Exists(groupNode))
        {
            foreach (Finding refusal in refusals.Concat(others))
            {
                yield return refusal;
            }
        }
    }

    private static IEnumerable<Finding> Refusals(IReadOnlyList<string> nodes)
    {
        foreach (string node in nodes)
        {
            Errno error = FileDescriptor.TryOpen(node, OpenMode.ReadWrite, out FileDescriptor? descriptor);
            descriptor?.Dispose();
            if (error is Errno.EACCES or Errno.EPERM)
            {
                yield return Finding.NoPermission(node);
            }
            else if (error == Errno.EBUSY)
            {
                yield return Finding.InUse(node, []);
            }
        }
    }
}
