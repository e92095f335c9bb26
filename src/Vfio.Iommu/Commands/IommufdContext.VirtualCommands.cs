using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private static IoResult AllocateVirtualIommuCommand(IommufdContext context, ref iommu_viommu_alloc command, Reply reply)
    {
        if (command.flags != 0 || command.type == IommufdUapi.IOMMU_VIOMMU_TYPE_DEFAULT)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = context.TryGet(command.dev_id, out IommufdDevice? device);
        if (error != Errno.None)
        {
            return error;
        }

        UserData data = new(command.type, reply.Argument.At(command.data_uptr), command.data_len);
        error = context.CreateVirtualIommu(device!, command.hwpt_id, command.type, data, out VirtualIommu? viommu);
        context.Put(device!);
        if (error != Errno.None)
        {
            return error;
        }

        command.out_viommu_id = viommu!.Id;
        return context.Answer(reply, in command, viommu);
    }

    private static IoResult AllocateVirtualDeviceCommand(IommufdContext context, ref iommu_vdevice_alloc command, Reply reply)
    {
        Errno error = context.TryGet(command.viommu_id, out VirtualIommu? viommu);
        if (error != Errno.None)
        {
            return error;
        }

        VirtualDevice? created = null;
        error = context.TryGet(command.dev_id, out IommufdDevice? device);
        if (error == Errno.None)
        {
            error = context.CreateVirtualDevice(viommu!, device!, command.virt_id, out created);
            context.Put(device!);
        }

        context.Put(viommu!);
        if (error != Errno.None)
        {
            return error;
        }

        command.out_vdevice_id = created!.Id;
        return context.Answer(reply, in command, created);
    }

    private static IoResult AllocateEventQueueCommand(IommufdContext context, ref iommu_veventq_alloc command, Reply reply)
    {
        if (command.flags != 0 || command.__reserved != 0 || command.type == IommufdUapi.IOMMU_VEVENTQ_TYPE_DEFAULT)
        {
            return Errno.EOPNOTSUPP;
        }

        if (command.veventq_depth is 0 or > MaximumEvents)
        {
            return Errno.EINVAL;
        }

        Errno error = context.TryGet(command.viommu_id, out VirtualIommu? viommu);
        if (error != Errno.None)
        {
            return error;
        }

        error = context.CreateEventQueue(viommu!, command.type, command.veventq_depth, out VirtualEventQueue? queue);
        context.Put(viommu!);
        if (error != Errno.None)
        {
            return error;
        }

        context.AddUser(queue!);
        VirtualEventFile file = new(queue!);
        queue!.File = file;
        IoResult installed = Install(file, reply.Argument.Files);
        if (installed.IsError)
        {
            context.Discard(queue!);
            return installed;
        }

        command.out_veventq_id = queue!.Id;
        command.out_veventq_fd = (uint)installed.Value;
        return context.Answer(reply, in command, queue, file, (int)installed.Value);
    }

    private static IoResult AllocateHardwareQueueCommand(IommufdContext context, ref iommu_hw_queue_alloc command, Reply reply)
    {
        if (command.flags != 0 || command.type == IommufdUapi.IOMMU_HW_QUEUE_TYPE_DEFAULT)
        {
            return Errno.EOPNOTSUPP;
        }

        if (command.length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(command.nesting_parent_iova, command.length, out _))
        {
            return Errno.EOVERFLOW;
        }

        Errno error = context.TryGet(command.viommu_id, out VirtualIommu? viommu);
        if (error != Errno.None)
        {
            return error;
        }

        error = context.CreateHardwareQueue(viommu!, command.type, command.index, command.nesting_parent_iova, command.length, out HardwareQueue? queue);
        context.Put(viommu!);
        if (error != Errno.None)
        {
            return error;
        }

        command.out_hw_queue_id = queue!.Id;
        return context.Answer(reply, in command, queue);
    }
}
