using System.Globalization;

namespace Vfio.Kernel;

/// <summary>Where <c>/sys</c>, <c>/dev</c> and <c>/proc</c> of a kernel are: the running one's, or a tree that looks like them.</summary>
/// <param name="Root">The folder that they are in.</param>
public sealed record KernelFiles(string Root)
{
    /// <summary>The running kernel's.</summary>
    public static KernelFiles Running { get; } = new("/");

    /// <summary>The PCI functions.</summary>
    internal string PciDevices => Sys("bus/pci/devices");

    /// <summary>The iommufd device.</summary>
    internal string Iommu => Dev("iommu");

    /// <summary>The VFIO container.</summary>
    internal string Container => Dev("vfio/vfio");

    internal string Sys(string path) => Path.Combine(Root, "sys", path);

    internal string Dev(string path) => Path.Combine(Root, "dev", path);

    internal string Proc(string path) => Path.Combine(Root, "proc", path);

    internal string GroupNode(int group) => Dev(string.Create(CultureInfo.InvariantCulture, $"vfio/{group}"));

    internal string NoIommuNode(int group) => Dev(string.Create(CultureInfo.InvariantCulture, $"vfio/noiommu-{group}"));

    internal string DeviceNode(string name) => Dev($"vfio/devices/{name}");
}
