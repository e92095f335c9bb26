using System.Runtime.CompilerServices;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <content>The ways to a device, and why none led there.</content>
public sealed partial class KernelConnection
{
    private static readonly KernelPath[] s_probed = [KernelPath.Cdev, KernelPath.GroupType1, KernelPath.GroupIommufd];

    /// <summary>Opens a device.</summary>
    /// <param name="target">
    /// The address of a PCI function, as <c>0000:06:0d.0</c> or <c>06:0d.0</c>, or the path of a device's node. <c>?path=</c> behind it names
    /// the only <see cref="KernelPath"/> to take, in letters of any case.
    /// </param>
    /// <param name="options">How to open it.</param>
    /// <returns>The connection; the caller disposes it.</returns>
    /// <exception cref="VfioException">The device cannot be opened; the message says why and what mends it.</exception>
    public static KernelConnection Open(string target, KernelOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(target);
        options ??= new KernelOptions();
        string operation = $"open kernel:{target}";
        if (target.Split('?', 2) is [var device, var query])
        {
            options = options with { Path = ParsePath(query, operation) };
            target = device;
        }

        if (target.StartsWith('/'))
        {
            if (options.Path is not (null or KernelPath.Cdev))
            {
                throw new VfioException(Errno.EINVAL, operation, $"A node is a device's own, which {options.Path} does not use: give the address of the function.");
            }

            if (IsNoIommuNode(target))
            {
                throw new VfioException(Errno.EPERM, operation, Finding.NoIommuMode("The node is of a device without an IOMMU, which is opened by the address of the function only.").ToSentences());
            }

            Errno refusal = TryOpenCdev(target, options.Files, out Parts parts);
            return refusal == Errno.None
                ? parts.Connect($"kernel:{target}", KernelPath.Cdev, options.Files)
                : throw new VfioException(refusal, operation, $"{parts.Step} failed. {Explain(refusal, target, options.Files)}".TrimEnd());
        }

        if (!PciAddress.TryParse(target, out PciAddress address))
        {
            throw new VfioException(Errno.EINVAL, operation, "It is neither the address of a PCI function, as 0000:06:0d.0, nor a path below /dev/vfio/devices.");
        }

        return Open(address, options, operation);
    }

    /// <summary>Makes a connection of descriptors that somebody else opened: for a process without the right, or the file system, to open them.</summary>
    /// <param name="device">The device's node, not bound yet. The connection owns it from here, also when this throws.</param>
    /// <param name="iommufd">An open <c>/dev/iommu</c>, likewise.</param>
    /// <param name="name">A name for messages.</param>
    /// <returns>The connection; the caller disposes it.</returns>
    /// <exception cref="VfioException">The kernel refused.</exception>
    public static KernelConnection FromCdev(FileDescriptor device, FileDescriptor iommufd, string name)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(iommufd);
        Errno error = TryBind(device, iommufd, null, out Parts parts);
        return error == Errno.None
            ? parts.Connect($"kernel:{name}", KernelPath.Cdev, KernelFiles.Running)
            : throw new VfioException(error, $"use the open device {name}", $"{parts.Step} failed.");
    }

    /// <summary>Makes a connection of a group and a container that somebody else opened.</summary>
    /// <param name="group">The group's node, without a container yet. The connection owns it from here, also when this throws.</param>
    /// <param name="container">An open <c>/dev/vfio/vfio</c> without an IOMMU yet, likewise.</param>
    /// <param name="device">The device's name in the group, for PCI its address as <c>0000:06:0d.0</c>.</param>
    /// <returns>The connection; the caller disposes it.</returns>
    /// <exception cref="VfioException">The kernel refused.</exception>
    public static KernelConnection FromGroup(FileDescriptor group, FileDescriptor container, string device)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(container);
        Errno error = TryJoin(group, container, KernelPath.GroupType1, device, null, out Parts parts);
        return error == Errno.None
            ? parts.Connect($"kernel:{device}", KernelPath.GroupType1, KernelFiles.Running)
            : throw new VfioException(error, $"use {device} of the open group", $"{parts.Step} failed.");
    }

    private static KernelPath ParsePath(string query, string operation)
    {
        const string Name = "path=";
        string value = query.StartsWith(Name, StringComparison.Ordinal) ? query[Name.Length..] : string.Empty;
        return Enum.GetNames<KernelPath>().FirstOrDefault(name => name.Equals(value, StringComparison.OrdinalIgnoreCase)) is { } path
            ? Enum.Parse<KernelPath>(path)
            : throw new VfioException(Errno.EINVAL, operation, $"Behind the question mark stands path= and one of {string.Join(", ", Enum.GetNames<KernelPath>())}.");
    }

    private static KernelConnection Open(PciAddress address, KernelOptions options, string operation)
    {
        KernelFiles files = options.Files;
        KernelDoctor doctor = new(files);
        PciFunction function = new PciSysfs(files).Find(address)
            ?? throw new VfioException(Errno.ENODEV, operation, Finding.NoFunction(address.ToString()).ToSentences());
        bool withoutIommu = doctor.IsWithoutIommu(function);
        if (withoutIommu && !options.AllowUnsafeNoIommu)
        {
            throw new VfioException(Errno.EPERM, operation, Finding.NoIommuMode($"{address} has no IOMMU.").ToSentences());
        }

        if (withoutIommu != (options.Path == KernelPath.NoIommu) && options.Path is not null)
        {
            throw new VfioException(Errno.EINVAL, operation, $"{address} {(withoutIommu ? "has no IOMMU, which" : "has an IOMMU, which")} {options.Path} is not for.");
        }

        if (options.ShareWith is { Path: KernelPath.NoIommu })
        {
            throw new VfioException(Errno.EINVAL, operation, $"{options.ShareWith.Address} has no address space that could be shared.");
        }

        Errno first = Errno.None;
        List<string> tried = [];
        foreach (KernelPath path in withoutIommu ? [KernelPath.NoIommu] : (options.ShareWith?.Path ?? options.Path) is { } only ? [only] : s_probed)
        {
            Errno error = TryOpen(function, path, files, options.ShareWith, out Parts parts);
            if (error == Errno.None)
            {
                return parts.Connect($"kernel:{address}", path, files);
            }

            tried.Add($"{path}: {parts.Step}: {error.GetName()}");

            // What is not there explains less than what refuses.
            first = first is Errno.None or Errno.ENOENT ? error : first;
        }

        Finding? cause = doctor.Examine(address).FirstOrDefault(static finding => finding.Severity == FindingSeverity.Error);
        throw new VfioException(first, operation, $"{(cause is null ? string.Empty : cause.ToSentences() + " ")}Tried {string.Join("; ", tried)}.");
    }

    private static Errno TryOpen(PciFunction function, KernelPath path, KernelFiles files, KernelConnection? other, out Parts parts)
    {
        if (path == KernelPath.Cdev)
        {
            parts = new Parts("find the device's node");
            return function.VfioDevice is { } name ? TryOpenCdev(files.DeviceNode(name), files, out parts, other?._space) : Errno.ENOENT;
        }

        parts = new Parts("find the IOMMU group");
        if (function.Group is not { } number)
        {
            return Errno.ENOENT;
        }

        if (other is not null && other._groupNumber == number)
        {
            return TryGetDevice(other._group!.Duplicate(), other._space.Share(), function.Address.ToString(), number, out parts);
        }

        string node = path == KernelPath.NoIommu ? files.NoIommuNode(number) : files.GroupNode(number);
        string containerNode = path == KernelPath.GroupIommufd ? files.Iommu : files.Container;
        FileDescriptor? container = null;
        Errno error = other is null ? FileDescriptor.TryOpen(containerNode, OpenMode.ReadWrite, out container) : Errno.None;
        if (error != Errno.None)
        {
            parts = new Parts($"open {containerNode}");
            return error;
        }

        error = FileDescriptor.TryOpen(node, OpenMode.ReadWrite, out FileDescriptor? group);
        if (error != Errno.None)
        {
            container?.Dispose();
            parts = new Parts($"open {node}");
            return error;
        }

        return other is null
            ? TryJoin(group!, container!, path, function.Address.ToString(), number, out parts)
            : TryShare(group!, other._space, function.Address.ToString(), number, out parts);
    }

    private static Errno TryOpenCdev(string node, KernelFiles files, out Parts parts, KernelAddressSpace? shared = null)
    {
        FileDescriptor? iommufd = null;
        Errno error = shared is null ? FileDescriptor.TryOpen(files.Iommu, OpenMode.ReadWrite, out iommufd) : Errno.None;
        if (error != Errno.None)
        {
            parts = new Parts($"open {files.Iommu}");
            return error;
        }

        error = FileDescriptor.TryOpen(node, OpenMode.ReadWrite, out FileDescriptor? device);
        if (error != Errno.None)
        {
            iommufd?.Dispose();
            parts = new Parts($"open {node}");
            return error;
        }

        return shared is null ? TryBind(device!, iommufd!, null, out parts) : TryBind(device!, null, (IommufdAddressSpace)shared.Share(), out parts);
    }

    /// <summary>Binds a device to a new context and a new address space of it, or to those of an address space that there is.</summary>
    private static Errno TryBind(FileDescriptor device, FileDescriptor? context, IommufdAddressSpace? space, out Parts parts)
    {
        FileDescriptor iommufd = context ?? space!.Descriptor;
        parts = new Parts("bind it to the iommufd (VFIO_DEVICE_BIND_IOMMUFD)");
        vfio_device_bind_iommufd bind = new()
        {
            // Without the token, which came later: a kernel refuses a size that it does not know with bytes that are not zero only.
            argsz = (uint)Unsafe.SizeOf<vfio_device_bind_iommufd>() - sizeof(ulong),
            iommufd = iommufd.Number,
        };
        Errno error = device.Ioctl(VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, ref bind).Error;
        if (error == Errno.None && space is null)
        {
            parts = new Parts("make an address space (IOMMU_IOAS_ALLOC)");
            error = IommufdAddressSpace.TryAllocate(iommufd, out space);
        }

        if (error == Errno.None)
        {
            parts = new Parts("attach it to an address space (VFIO_DEVICE_ATTACH_IOMMUFD_PT)");
            vfio_device_attach_iommufd_pt attach = new()
            {
                argsz = (uint)Unsafe.SizeOf<vfio_device_attach_iommufd_pt>() - sizeof(uint),
                pt_id = space!.Id,
            };
            error = device.Ioctl(VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, ref attach).Error;
        }

        if (error != Errno.None)
        {
            device.Dispose();
            iommufd.Dispose();
            return error;
        }

        parts = new Parts(string.Empty) { Device = device, Space = space };
        return Errno.None;
    }

    private static Errno TryJoin(FileDescriptor group, FileDescriptor container, KernelPath path, string name, int? number, out Parts parts)
    {
        Errno error = TryJoin(group, container, path, out string step, out KernelAddressSpace? space);
        if (error == Errno.None)
        {
            return TryGetDevice(group, space!, name, number, out parts);
        }

        parts = new Parts(step);
        group.Dispose();
        container.Dispose();
        return error;
    }

    /// <summary>Brings a further group into a container, or a context in the place of one, that has its IOMMU already.</summary>
    private static Errno TryShare(FileDescriptor group, KernelAddressSpace shared, string name, int number, out Parts parts)
    {
        Errno error = TrySetContainer(group, shared.Descriptor, out string step);
        if (error == Errno.None)
        {
            return TryGetDevice(group, shared.Share(), name, number, out parts);
        }

        parts = new Parts(step);
        group.Dispose();
        return error;
    }

    private static Errno TryGetDevice(FileDescriptor group, KernelAddressSpace space, string name, int? number, out Parts parts)
    {
        IoResult result = group.Ioctl(VfioUapi.VFIO_GROUP_GET_DEVICE_FD, Encoding.UTF8.GetBytes(name + "\0").AsSpan());
        if (result.IsError)
        {
            parts = new Parts("get the device of the group (VFIO_GROUP_GET_DEVICE_FD)");
            group.Dispose();
            space.Dispose();
            return result.Error;
        }

        parts = new Parts(string.Empty) { Device = new FileDescriptor((int)result.Value, ownsHandle: true), Space = space, Group = group, GroupNumber = number };
        return Errno.None;
    }

    private static Errno TryJoin(FileDescriptor group, FileDescriptor container, KernelPath path, out string step, out KernelAddressSpace? space)
    {
        space = null;
        Errno error = TrySetContainer(group, container, out step);
        if (error != Errno.None)
        {
            return error;
        }

        switch (path)
        {
            case KernelPath.GroupIommufd:
                step = "find the group's address space (IOMMU_VFIO_IOAS)";
                error = IommufdAddressSpace.TryGetCompatible(container, out IommufdAddressSpace? compatible);
                space = compatible;
                return error;
            case KernelPath.NoIommu:
                step = "do without an IOMMU (VFIO_SET_IOMMU)";
                error = container.Ioctl(VfioUapi.VFIO_SET_IOMMU, (nint)VfioUapi.VFIO_NOIOMMU_IOMMU).Error;
                space = error == Errno.None ? new MissingAddressSpace(container) : null;
                return error;
            default:
                step = "give the container its IOMMU (VFIO_SET_IOMMU, type1v2)";
                error = Type1AddressSpace.TrySet(container, out Type1AddressSpace? type1);
                space = type1;
                return error;
        }
    }

    private static Errno TrySetContainer(FileDescriptor group, FileDescriptor container, out string step)
    {
        step = "look at the group (VFIO_GROUP_GET_STATUS)";
        vfio_group_status status = new() { argsz = (uint)Unsafe.SizeOf<vfio_group_status>() };
        Errno error = group.Ioctl(VfioUapi.VFIO_GROUP_GET_STATUS, ref status).Error;
        if (error != Errno.None)
        {
            return error;
        }

        if ((status.flags & VfioUapi.VFIO_GROUP_FLAGS_VIABLE) == 0)
        {
            step = "the group is not viable";
            return Errno.EPERM;
        }

        step = "give the group its container (VFIO_GROUP_SET_CONTAINER)";
        int number = container.Number;
        return group.Ioctl(VfioUapi.VFIO_GROUP_SET_CONTAINER, ref number).Error;
    }

    /// <summary>Whether a node, behind links if need be, has the name that the kernel gives to a device without an IOMMU.</summary>
    private static bool IsNoIommuNode(string node)
    {
        try
        {
            string? target = File.ResolveLinkTarget(node, returnFinalTarget: true)?.FullName;
            return System.IO.Path.GetFileName(target ?? node).StartsWith("noiommu-", StringComparison.Ordinal);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The opening will tell.
            return false;
        }
    }

    private static string Explain(Errno error, string node, KernelFiles files) => error switch
    {
        Errno.EACCES or Errno.EPERM => Finding.NoPermission(node).ToSentences(),
        Errno.EBUSY => Finding.InUse(node, NodeUsers.Find(files, node)).ToSentences(),
        Errno.ENOENT => $"Run: vfio doctor. A function has a node below /dev/vfio/devices when vfio-pci has it and the kernel knows nodes.",
        _ => string.Empty,
    };

    /// <summary>What a connection is made of; or how far the attempt got, which is then the failed <paramref name="Step"/>.</summary>
    private readonly record struct Parts(string Step)
    {
        public FileDescriptor? Device { get; init; }

        public KernelAddressSpace? Space { get; init; }

        public FileDescriptor? Group { get; init; }

        public int? GroupNumber { get; init; }

        public KernelConnection Connect(string address, KernelPath path, KernelFiles files) => new(address, path, Device!, Space!, Group, GroupNumber, files);
    }
}
