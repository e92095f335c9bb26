using System.Text;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>An open <c>/dev/vfio/N</c>: the one user's hold of a group, and the way to its devices.</summary>
/// <remarks>
/// Opened by <see cref="VfioHost.TryOpenGroup"/>; at most one at a time. Results are those of the kernel's file operations; nothing
/// throws. Devices opened through a container keep the file open until they are closed; devices opened through an iommufd do not.
/// </remarks>
public sealed class VfioGroupFile : VfioFile
{
    private const int MaximumName = 4096;
    private readonly VfioHost _host;

    internal VfioGroupFile(VfioGroup group, VfioHost host)
    {
        Group = group;
        _host = host;
    }

    /// <summary>The group.</summary>
    public VfioGroup Group { get; }

    /// <summary>Whether the user has closed the file. Changes before the group's lock is taken.</summary>
    internal bool IsClosed { get; private set; }

    /// <summary>Tells what may be done with the group.</summary>
    /// <param name="status">The status.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENODEV"/> when its last device was unregistered.</returns>
    /// <remarks>VFIO_GROUP_GET_STATUS.</remarks>
    public Errno GetStatus(out VfioGroupStatus status) => Group.GetStatus(out status);

    /// <summary>Puts the group in a container.</summary>
    /// <param name="container">The container.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when it is in one; <see cref="Errno.ENODEV"/> when its last device was
    /// unregistered; <see cref="Errno.EPERM"/> for a missing privilege, a mix of groups with and without IOMMU, or a group whose DMA
    /// somebody else owns; what the container's IOMMU reported.
    /// </returns>
    /// <remarks>VFIO_GROUP_SET_CONTAINER (<c>vfio_container_attach_group</c>); spec vfio-core §5.3.</remarks>
    public Errno SetContainer(VfioContainer container) => IsClosed ? Errno.EBADF : Group.SetContainer(container);

    /// <summary>Puts an iommufd in the place of a container: devices are attached to its compatibility address space.</summary>
    /// <param name="context">The iommufd.</param>
    /// <returns>As for a container; <see cref="Errno.EINVAL"/> also when groups with and without IOMMU would mix.</returns>
    /// <remarks>VFIO_GROUP_SET_CONTAINER with an iommufd; spec vfio-core §5.3, §5.15.</remarks>
    public Errno SetContainer(IommufdContext context) => IsClosed ? Errno.EBADF : Group.SetContainer(context);

    /// <summary>Takes the group out of its container.</summary>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when it is in none; <see cref="Errno.EBUSY"/> while a device is open through
    /// the container. With an iommufd open devices do not matter (spec vfio-core Q1).
    /// </returns>
    /// <remarks>VFIO_GROUP_UNSET_CONTAINER.</remarks>
    public Errno UnsetContainer() => IsClosed ? Errno.EBADF : Group.UnsetContainer();

    /// <summary>Opens a device of the group.</summary>
    /// <param name="name">Its name, as <see cref="VfioDevice.Match"/> understands it.</param>
    /// <param name="file">The file, on which all operations reach the device; the caller disposes it.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENODEV"/> when no device has the name; <see cref="Errno.EINVAL"/> without a container,
    /// or when the container has no IOMMU; <see cref="Errno.EPERM"/> for a missing privilege; what the device reported.
    /// </returns>
    /// <remarks>VFIO_GROUP_GET_DEVICE_FD (<c>vfio_device_open_file</c>); spec vfio-core §5.3 gives the order of the checks.</remarks>
    public Errno OpenDevice(string name, out VfioDeviceFile? file)
    {
        file = null;
        if (IsClosed)
        {
            return Errno.EBADF;
        }

        Errno error = Group.Find(name, out VfioDevice? device);
        return error != Errno.None ? error : OpenDevice(device!, out file);
    }

    /// <summary>Executes a group command in its binary form.</summary>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure and descriptors.</param>
    /// <returns>The ioctl's result, or an errno; <see cref="Errno.ENOTTY"/> for an unknown one.</returns>
    /// <remarks><c>vfio_group_fops_unl_ioctl</c>.</remarks>
    public override IoResult Ioctl(uint command, UserArgument argument)
        => command switch
        {
            VfioUapi.VFIO_GROUP_GET_STATUS => StatusCommand(argument),
            VfioUapi.VFIO_GROUP_SET_CONTAINER => SetContainerCommand(argument),
            VfioUapi.VFIO_GROUP_UNSET_CONTAINER => UnsetContainer(),
            VfioUapi.VFIO_GROUP_GET_DEVICE_FD => DeviceCommand(argument),
            _ => Errno.ENOTTY,
        };

    /// <summary>Gives up the group: it leaves its container once no device is open through it any more.</summary>
    protected override void Close()
    {
        IsClosed = true;
        Group.CloseFile();
    }

    private IoResult StatusCommand(UserArgument argument)
    {
        const int Size = 8;
        Errno error = argument.ReadExtensible(Size, out vfio_group_status raw, out _);
        if (error != Errno.None)
        {
            return error;
        }

        error = GetStatus(out VfioGroupStatus status);
        raw.flags = (uint)status;
        return error != Errno.None ? error : argument.Write(0, in raw);
    }

    private IoResult SetContainerCommand(UserArgument argument)
    {
        Errno error = argument.Read(0, out int number);
        if (error != Errno.None)
        {
            return error;
        }

        object? file = null;
        error = argument.Files?.TryGet(number, out file) ?? Errno.EBADF;
        return error != Errno.None ? error : IsClosed ? Errno.EBADF : Group.SetContainer(file);
    }

    private IoResult DeviceCommand(UserArgument argument)
    {
        Errno error = ReadName(argument, out string name);
        if (error != Errno.None)
        {
            return error;
        }

        error = Group.Find(name, out VfioDevice? device);
        if (error != Errno.None)
        {
            return error;
        }

        if (argument.Files is not { HasRoom: true } files)
        {
            device!.PutRegistration();
            return Errno.EMFILE;
        }

        error = OpenDevice(device!, out VfioDeviceFile? file);
        if (error != Errno.None)
        {
            return error;
        }

        IoResult number = files.Install(file!);
        if (number.IsError)
        {
            file!.Dispose();
        }

        return number;
    }

    /// <summary>Opens a device on whose registration the caller holds a reference, which goes to the file.</summary>
    private Errno OpenDevice(VfioDevice device, out VfioDeviceFile? file)
    {
        file = new VfioDeviceFile(device, Group);
        Errno error = file.OpenThroughGroup();
        if (error != Errno.None)
        {
            file.Dispose();
            file = null;
        }

        return error;
    }

    /// <summary>Copies a text that ends with a zero byte, of at most a page.</summary>
    private static Errno ReadName(UserArgument argument, out string name)
    {
        const int Chunk = 64;
        name = string.Empty;
        byte[] bytes = new byte[MaximumName];
        for (int length = 0; length < MaximumName;)
        {
            // The text may end just before memory that cannot be read: byte by byte then.
            int some = Math.Min(Chunk, MaximumName - length);
            if (argument.Read((ulong)length, bytes.AsSpan(length, some)) != Errno.None)
            {
                some = 1;
                if (argument.Read((ulong)length, bytes.AsSpan(length, some)) != Errno.None)
                {
                    return Errno.EFAULT;
                }
            }

            int end = bytes.AsSpan(length, some).IndexOf((byte)0);
            if (end >= 0)
            {
                name = Encoding.UTF8.GetString(bytes, 0, length + end);
                return Errno.None;
            }

            length += some;
        }

        return Errno.EINVAL;
    }
}
