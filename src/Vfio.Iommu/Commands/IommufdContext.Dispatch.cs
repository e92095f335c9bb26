using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private const ulong PageSize = 4096;

    private delegate IoResult Handler<T>(IommufdContext context, ref T command, Reply reply)
        where T : unmanaged;

    /// <summary>Executes an iommufd command in its binary form, or a container's when the context stands for one.</summary>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure, which begins with its size.</param>
    /// <returns>0 or more, or an errno.</returns>
    /// <remarks><c>iommufd_fops_ioctl</c>; spec iommufd §2.1 gives the order of the checks, §2.2–§2.23 the commands, §6 a container's.</remarks>
    public override IoResult Ioctl(uint command, UserArgument argument)
    {
        const uint First = IommufdUapi.IOMMUFD_CMD_BASE;
        const uint Last = IommufdUapi.IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA;
        if ((command & 0xFF) is < First or > Last)
        {
            IoResult extended = Extension?.Ioctl(this, command, argument) ?? Errno.ENOTTY;
            return extended.Error == Errno.ENOTTY ? ContainerCommand(command, argument) : extended;
        }

        Errno error = argument.Read(0, out uint size);
        if (error != Errno.None)
        {
            return error;
        }

        // Each with the end of the last field of its first version.
        return command switch
        {
            IommufdUapi.IOMMU_DESTROY => Run<iommu_destroy>(argument, size, 8, static (context, ref command, _) => context.Destroy(command.id)),
            IommufdUapi.IOMMU_IOAS_ALLOC => Run<iommu_ioas_alloc>(argument, size, 12, AllocateIoasCommand),
            IommufdUapi.IOMMU_IOAS_ALLOW_IOVAS => Run<iommu_ioas_allow_iovas>(argument, size, 24, AllowIovasCommand),
            IommufdUapi.IOMMU_IOAS_COPY => Run<iommu_ioas_copy>(argument, size, 40, CopyCommand),
            IommufdUapi.IOMMU_IOAS_IOVA_RANGES => Run<iommu_ioas_iova_ranges>(argument, size, 32, IovaRangesCommand),
            IommufdUapi.IOMMU_IOAS_MAP => Run<iommu_ioas_map>(argument, size, 40, MapCommand),
            IommufdUapi.IOMMU_IOAS_UNMAP => Run<iommu_ioas_unmap>(argument, size, 24, UnmapCommand),
            IommufdUapi.IOMMU_OPTION => Run<iommu_option>(argument, size, 24, OptionCommand),
            IommufdUapi.IOMMU_VFIO_IOAS => Run<iommu_vfio_ioas>(argument, size, 12, VfioIoasCommand),
            IommufdUapi.IOMMU_HWPT_ALLOC => Run<iommu_hwpt_alloc>(argument, size, 24, AllocatePageTableCommand),
            IommufdUapi.IOMMU_GET_HW_INFO => Run<iommu_hw_info>(argument, size, 32, HardwareInfoCommand),
            IommufdUapi.IOMMU_HWPT_SET_DIRTY_TRACKING => Run<iommu_hwpt_set_dirty_tracking>(argument, size, 16, SetDirtyTrackingCommand),
            IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP => Run<iommu_hwpt_get_dirty_bitmap>(argument, size, 48, GetDirtyBitmapCommand),
            IommufdUapi.IOMMU_HWPT_INVALIDATE => Run<iommu_hwpt_invalidate>(argument, size, 32, InvalidateCommand),
            IommufdUapi.IOMMU_FAULT_QUEUE_ALLOC => Run<iommu_fault_alloc>(argument, size, 16, AllocateFaultQueueCommand),
            IommufdUapi.IOMMU_IOAS_MAP_FILE => Run<iommu_ioas_map_file>(argument, size, 40, MapFileCommand),
            IommufdUapi.IOMMU_VIOMMU_ALLOC => Run<iommu_viommu_alloc>(argument, size, 24, AllocateVirtualIommuCommand),
            IommufdUapi.IOMMU_VDEVICE_ALLOC => Run<iommu_vdevice_alloc>(argument, size, 24, AllocateVirtualDeviceCommand),
            IommufdUapi.IOMMU_IOAS_CHANGE_PROCESS => Run<iommu_ioas_change_process>(argument, size, 8, ChangeProcessCommand),
            IommufdUapi.IOMMU_VEVENTQ_ALLOC => Run<iommu_veventq_alloc>(argument, size, 28, AllocateEventQueueCommand),
            IommufdUapi.IOMMU_HW_QUEUE_ALLOC => Run<iommu_hw_queue_alloc>(argument, size, 40, AllocateHardwareQueueCommand),

            // Physical addresses mean nothing here, as in a kernel without the option.
            IommufdUapi.IOMMU_IOAS_NOIOMMU_GET_PA => Run<iommu_ioas_noiommu_get_pa>(argument, size, 40, static (_, ref _, _) => Errno.EOPNOTSUPP),
            _ => Errno.ENOTTY,
        };
    }

    /// <summary>Copies a structure in by the rules of versioned structures, and executes its command.</summary>
    private IoResult Run<T>(UserArgument argument, uint size, int minimum, Handler<T> handler)
        where T : unmanaged
    {
        Errno error = argument.ReadVersioned(size, minimum, out T command);
        return error != Errno.None ? error : handler(this, ref command, new Reply(argument, size));
    }

    /// <summary>Publishes the answer of a command that made an object; the object goes when the answer can't be given.</summary>
    private Errno Answer<T>(Reply reply, in T command, IommufdObject made)
        where T : unmanaged
    {
        Errno error = reply.Write(in command);
        if (error != Errno.None)
        {
            Discard(made);
        }

        return error;
    }

    /// <summary>Where a command's structure is written back: never beyond what the caller has.</summary>
    private readonly ref struct Reply(UserArgument argument, uint size)
    {
        public UserArgument Argument { get; } = argument;

        public Errno Write<T>(in T command)
            where T : unmanaged
            => Argument.WriteVersioned(size, in command);
    }
}
