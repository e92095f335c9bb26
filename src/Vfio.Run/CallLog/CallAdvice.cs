using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Run;

/// <summary>Why a command failed, and what to do about it, as far as the states of the files tell.</summary>
internal static class CallAdvice
{
    private const ulong PageMask = 4095;
    private const uint ContainerSize = 4;

    /// <summary>Explains a failed command.</summary>
    /// <returns>The reason; null when there is nothing to say beyond the error's name.</returns>
    public static string? OfIoctl(SupervisedProcess process, OpenFile file, uint command, ulong argument, Errno error)
    {
        FileKind kind = CallText.KindOf(file.File);
        if (CommandCatalog.Find(kind, command) is null)
        {
            return NotOfThisKind(kind, command, error);
        }

        return (error, file.File) switch
        {
            (Errno.EFAULT, _) when !IsReadable(process, argument) => $"the address 0x{argument:x} of the argument can't be read",
            (_, VfioContainer container) => OfContainer(process, container, command, argument, error),
            (_, VfioGroupFile group) => OfGroup(process, group, command, argument, error),
            (_, VfioDeviceFile device) => OfDevice(process, device, command, argument, error),
            (_, Iommu.IommufdContext) => OfIommufd(process, command, argument, error),
            _ => null,
        };
    }

    /// <summary>Explains a failed open.</summary>
    public static string? OfOpen(string path, VfioHost host, Errno error) => error switch
    {
        Errno.EBUSY when path.StartsWith("/dev/vfio/devices/", StringComparison.Ordinal) => "the device is in use through its group",
        Errno.EBUSY => "a group's file can be open once only, and not while one of its devices is bound to an iommufd",
        Errno.EPERM => "a group without IOMMU takes CAP_SYS_RAWIO",
        Errno.ENOENT when path.StartsWith("/dev/vfio/", StringComparison.Ordinal) => $"there are {Nodes(host)}",
        Errno.ENODEV => "the device has gone",
        Errno.EACCES => "the attribute can't be opened that way",
        _ => null,
    };

    /// <summary>Explains a failed read or write of a device's file.</summary>
    public static string? OfTransfer(OpenFile file, Errno error) => (error, file.File) switch
    {
        (Errno.EINVAL, VfioDeviceFile { IsBound: false }) => NotBound,
        (Errno.EINVAL, VfioDeviceFile) => "no region is there, or the position lies behind its end",
        (Errno.EIO, VfioDeviceFile) => "the device does not answer: the memory decode of its command register may be off",
        (Errno.EINVAL, VfioContainer or VfioGroupFile or Iommu.IommufdContext) => "this file has nothing to read or write; its commands are ioctls",
        _ => null,
    };

    private const string NotBound = "the device is not bound to an iommufd: VFIO_DEVICE_BIND_IOMMUFD comes before everything else on a device opened by /dev/vfio/devices";

    private static string? NotOfThisKind(FileKind kind, uint command, Errno error)
    {
        FileKind[] others = [.. CommandCatalog.KindsOf(command)];
        if (error is not (Errno.ENOTTY or Errno.EINVAL))
        {
            return null;
        }

        return others.Length == 0
            ? $"0x{command:x} is no command of VFIO or iommufd"
            : $"{string.Join(" or ", others.Select(other => $"{CommandCatalog.Find(other, command)!.Name} of {Name(other)}"))} has this number, but this is {Name(kind)}";
    }

    private static string? OfContainer(SupervisedProcess process, VfioContainer container, uint command, ulong argument, Errno error)
    {
        if (command == VfioUapi.VFIO_SET_IOMMU)
        {
            return error switch
            {
                Errno.EINVAL when container.Iommu is not null => "the container has an IOMMU already, which stays until its last group leaves",
                Errno.EINVAL when container.GroupCount == 0 => "no group is in the container: VFIO_GROUP_SET_CONTAINER comes before VFIO_SET_IOMMU",
                Errno.ENODEV => "nothing here has this type: VFIO_CHECK_EXTENSION tells which there are",
                _ => null,
            };
        }

        if (container.Iommu is null)
        {
            return container.GroupCount == 0
                ? "the container has no IOMMU: VFIO_GROUP_SET_CONTAINER and VFIO_SET_IOMMU come first"
                : "the container has no IOMMU: VFIO_SET_IOMMU comes first";
        }

        return command switch
        {
            VfioUapi.VFIO_IOMMU_MAP_DMA => OfMap(process, argument, error, start: 16),
            VfioUapi.VFIO_IOMMU_UNMAP_DMA => OfUnmap(process, argument, error),
            VfioUapi.VFIO_IOMMU_DIRTY_PAGES when error == Errno.EINVAL => "tracking has not been started, or range, unit or length of the bitmap are wrong",
            _ => OfSize(process, argument, error, VfioArgument),
        };
    }

    // iova and size follow the address in both structures.
    private static string? OfMap(SupervisedProcess process, ulong argument, Errno error, ulong start)
    {
        Span<byte> bytes = stackalloc byte[32];
        if (process.Memory.Read(argument, bytes) != Errno.None)
        {
            return null;
        }

        uint given = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        ulong address = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        ulong iova = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(int)start..]);
        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]);
        return error switch
        {
            Errno.EINVAL when given < bytes.Length => $"argsz is {given} and has to be {bytes.Length} or more",
            Errno.EINVAL when size == 0 => "the size is 0",
            Errno.EINVAL when ((address | iova | size) & PageMask) != 0 => "address, IOVA and size have to be multiples of 4096",
            Errno.EINVAL when (BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]) & 3) == 0 => "neither VFIO_DMA_MAP_FLAG_READ nor VFIO_DMA_MAP_FLAG_WRITE is set",
            Errno.EINVAL => "a flag is unknown, or the devices can't use these IOVAs: VFIO_IOMMU_GET_INFO tells the ranges",
            Errno.EOVERFLOW => "the range goes over the end of the address space",
            Errno.EEXIST => $"some of IOVA 0x{iova:x} to 0x{iova + size - 1:x} is mapped already",
            Errno.EFAULT => $"some of the memory at 0x{address:x}, 0x{size:x} bytes, is not mapped in the program, or is read only",
            Errno.ENOSPC => "the container has as many mappings as it may have",
            _ => null,
        };
    }

    private static string? OfUnmap(SupervisedProcess process, ulong argument, Errno error)
    {
        Span<byte> bytes = stackalloc byte[24];
        if (process.Memory.Read(argument, bytes) != Errno.None)
        {
            return null;
        }

        uint given = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        ulong iova = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]);
        return error switch
        {
            Errno.EINVAL when given < bytes.Length => $"argsz is {given} and has to be {bytes.Length} or more",
            Errno.EINVAL when ((iova | size) & PageMask) != 0 => "IOVA and size have to be multiples of 4096",
            Errno.EINVAL when size == 0 => "the size is 0",
            Errno.EINVAL => "the range cuts a mapping in two, which version 2 of type 1 does not do",
            Errno.EOVERFLOW => "the range goes over the end of the address space",
            _ => null,
        };
    }

    private static string? OfGroup(SupervisedProcess process, VfioGroupFile group, uint command, ulong argument, Errno error)
    {
        switch (command)
        {
            case VfioUapi.VFIO_GROUP_SET_CONTAINER:
                return error switch
                {
                    Errno.EBADF or Errno.EBADFD => "the argument is the address of an int with the descriptor of a container or an iommufd",
                    Errno.EINVAL when ReadNumber(process, argument) is { } number && process.Find(number)?.File is not (VfioContainer or Iommu.IommufdContext)
                        => $"descriptor {number} is neither a container nor an iommufd",
                    Errno.EINVAL => "the group is in a container already",
                    Errno.EPERM => "the group's DMA is somebody else's, or groups with and without IOMMU would mix",
                    _ => null,
                };
            case VfioUapi.VFIO_GROUP_UNSET_CONTAINER:
                return error switch
                {
                    Errno.EINVAL => "the group is in no container",
                    Errno.EBUSY => "devices of the group are open",
                    _ => null,
                };
            case VfioUapi.VFIO_GROUP_GET_DEVICE_FD:
                return error switch
                {
                    Errno.ENODEV => $"the group has no device of this name: it has {string.Join(", ", group.Group.Devices.Select(static device => device.Name))}",
                    Errno.EINVAL => "the group is in no container that has an IOMMU: VFIO_GROUP_SET_CONTAINER and VFIO_SET_IOMMU come first",
                    Errno.EMFILE => "no descriptor is free in the supervisor's range of numbers",
                    _ => null,
                };
            default:
                return OfSize(process, argument, error, VfioArgument);
        }
    }

    private static string? OfDevice(SupervisedProcess process, VfioDeviceFile device, uint command, ulong argument, Errno error)
    {
        if (command == VfioUapi.VFIO_DEVICE_BIND_IOMMUFD)
        {
            return error switch
            {
                Errno.EINVAL when device.IsFromGroup => "the device was opened through its group and has its container's IOMMU",
                Errno.EINVAL when device.IsBound => "the device is bound already, which lasts until its file is closed",
                Errno.EBADF or Errno.EBADFD => "iommufd is not the descriptor of an open /dev/iommu",
                _ => OfSize(process, argument, error, VfioArgument),
            };
        }

        if (!device.IsBound)
        {
            return NotBound;
        }

        switch (command)
        {
            case VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT or VfioUapi.VFIO_DEVICE_DETACH_IOMMUFD_PT when device.IsFromGroup:
                return "the device was opened through its group and has its container's IOMMU";
            case VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT when error == Errno.ENOENT:
                return "pt_id names neither an IOAS nor a page table of the iommufd that the device is bound to";
            case VfioUapi.VFIO_DEVICE_GET_REGION_INFO or VfioUapi.VFIO_DEVICE_GET_IRQ_INFO when error == Errno.EINVAL:
                return OfSize(process, argument, error, VfioArgument) ?? "the device has nothing at this index: VFIO_DEVICE_GET_INFO tells how many there can be";
            case VfioUapi.VFIO_DEVICE_SET_IRQS when error is Errno.EINVAL:
                return OfSize(process, argument, error, VfioArgument)
                    ?? "the vectors lie behind the index's count, exactly one DATA and one ACTION flag are to be set, and another kind of interrupt may be enabled already";
            case VfioUapi.VFIO_DEVICE_SET_IRQS when error is Errno.EBADF:
                return "a number in the data is no open descriptor";
            case VfioUapi.VFIO_DEVICE_FEATURE when error == Errno.ENOTTY:
                return "the device does not have this feature";
            case VfioUapi.VFIO_DEVICE_RESET when error == Errno.ENOTTY:
                return "the device can't be reset: VFIO_DEVICE_FLAGS_RESET is not set";
            default:
                return OfSize(process, argument, error, VfioArgument);
        }
    }

    private static string? OfIommufd(SupervisedProcess process, uint command, ulong argument, Errno error) => (command, error) switch
    {
        (IommufdUapi.IOMMU_IOAS_UNMAP, Errno.ENOENT) => "the range cuts a mapping in two, or nothing is mapped there",
        (_, Errno.ENOENT) => "an id names no object of this iommufd, or one of another kind",
        (_, Errno.E2BIG) => "size is larger than the structure here, and what lies beyond is not zero",
        (IommufdUapi.IOMMU_IOAS_MAP, Errno.EFAULT) => "some of the memory is not mapped in the program, is read only, or is a device's",
        (IommufdUapi.IOMMU_IOAS_MAP or IommufdUapi.IOMMU_IOAS_COPY or IommufdUapi.IOMMU_IOAS_MAP_FILE, Errno.EEXIST) => "some of the IOVAs are mapped already",
        (IommufdUapi.IOMMU_IOAS_MAP or IommufdUapi.IOMMU_IOAS_MAP_FILE, Errno.EOPNOTSUPP) => "a flag is unknown",
        (IommufdUapi.IOMMU_DESTROY, Errno.EBUSY) => "something uses the object",
        _ => OfSize(process, argument, error, "size"),
    };

    private const string VfioArgument = "argsz";

    /// <summary>The commonest mistake: a structure without its length.</summary>
    private static string? OfSize(SupervisedProcess process, ulong argument, Errno error, string field)
        => error == Errno.EINVAL && ReadNumber(process, argument) is { } size && (uint)size < 2 * ContainerSize
            ? $"{field} is {(uint)size}: it has to be the structure's length"
            : null;

    private static int? ReadNumber(SupervisedProcess process, ulong address)
    {
        Span<byte> bytes = stackalloc byte[4];
        return process.Memory.Read(address, bytes) == Errno.None ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : null;
    }

    private static bool IsReadable(SupervisedProcess process, ulong address) => ReadNumber(process, address) is not null;

    private static string Nodes(VfioHost host)
        => string.Join(", ", host.Groups.Select(static group => group.NodeName).Concat(host.Devices.Select(static device => $"devices/{device.NodeName}")).Prepend("vfio"));

    private static string Name(FileKind kind) => kind switch
    {
        FileKind.Container or FileKind.SpaprContainer => "a container (/dev/vfio/vfio)",
        FileKind.Group => "a group (/dev/vfio/N)",
        FileKind.Device => "a device",
        FileKind.Migration => "a device's migration data",
        FileKind.Iommufd => "an iommufd (/dev/iommu)",
        _ => "another kind of file",
    };
}
