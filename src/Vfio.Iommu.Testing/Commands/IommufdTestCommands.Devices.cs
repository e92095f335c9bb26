using Vfio.Abi;

namespace Vfio.Iommu.Testing;

public sealed partial class IommufdTestCommands
{
    private static Errno AddDevice(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        MockDeviceFlags flags = command.Operation == TestOperation.MockDomainFlags ? command.Device.Flags : MockDeviceFlags.None;
        if ((flags & ~(MockDeviceFlags.NoDirtyTracking | MockDeviceFlags.Pasids)) != 0)
        {
            return Errno.EINVAL;
        }

        IommuGroup group = new(Interlocked.Increment(ref commands._groups), "iommufd mock", new MockIommu());
        MockDevice device = new(group)
        {
            TracksWrites = (flags & MockDeviceFlags.NoDirtyTracking) == 0,
            PasidCount = (flags & MockDeviceFlags.Pasids) != 0 ? 1u << 20 : 0,
        };

        // The ids go in this order: the mock, the device, the page table.
        MockHolder holder = new(context) { IsLeaving = true };
        Errno error = context.Publish(holder);
        if (error != Errno.None)
        {
            return error;
        }

        error = context.BindInternalDevice(device, out IommufdDevice? bound);
        if (error != Errno.None)
        {
            context.Abort(holder);
            return error;
        }

        uint target = command.Id;
        error = bound!.Attach(ref target);
        command.Device.MockId = holder.Id;
        command.Device.DeviceId = bound.Id;
        command.Device.PageTableId = target;
        error = error != Errno.None ? error : Reply(argument, in command);
        if (error != Errno.None)
        {
            bound.Detach();
            bound.Unbind();
            context.Abort(holder);
            return error;
        }

        holder.Complete(bound);
        return Errno.None;
    }

    private static Errno ReplaceDomain(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = context.TryGet(command.Id, out MockHolder? holder);
        if (error != Errno.None)
        {
            return error;
        }

        error = holder!.Device.Replace(ref command.Target);
        context.Put(holder);
        return error != Errno.None ? error : Reply(argument, in command);
    }

    private static Errno AttachPasid(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = context.TryGet(command.Id, out MockHolder? holder);
        if (error != Errno.None)
        {
            return error;
        }

        bool isNew = command.Operation == TestOperation.PasidAttach;
        error = holder!.Change(command.Pasid.Pasid, ref command.Pasid.Target, replace: !isNew);
        if (error == Errno.None)
        {
            error = Reply(argument, in command);
            if (error != Errno.None && isNew)
            {
                holder.Detach(command.Pasid.Pasid);
            }
        }

        context.Put(holder);
        return error;
    }

    private static Errno DetachPasid(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = context.TryGet(command.Id, out MockHolder? holder);
        if (error == Errno.None)
        {
            holder!.Detach(command.Pasid.Pasid);
            context.Put(holder);
        }

        return error;
    }

    /// <summary>The device must be attached to the page table at the PASID; without a page table nothing may be attached there.</summary>
    private static Errno CheckPasid(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = context.TryGet(command.Id, out MockHolder? holder);
        if (error != Errno.None)
        {
            return error;
        }

        HardwarePageTable? wanted = null;
        error = command.Pasid.Target == 0 ? Errno.None : context.TryGet(command.Pasid.Target, out wanted);
        if (error == Errno.None && !ReferenceEquals(holder!.Device.GetPageTable(command.Pasid.Pasid), wanted))
        {
            error = Errno.EINVAL;
        }

        if (wanted is not null)
        {
            context.Put(wanted);
        }

        context.Put(holder!);
        return error;
    }

    private static Errno CheckCache(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = context.TryGet(command.Id, out IommufdDevice? device);
        if (error == Errno.None)
        {
            error = device!.Device is MockDevice mock ? Compare(mock.Cache, command.Word) : Errno.EINVAL;
            context.Put(device);
        }

        return error;
    }

    private static Errno CheckIotlb(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = context.TryGet(command.Id, out HardwarePageTable? pageTable);
        if (error == Errno.None)
        {
            error = pageTable!.Domain is MockNestedDomain nested ? Compare(nested.Iotlb, command.Word) : Errno.EINVAL;
            context.Put(pageTable);
        }

        return error;
    }

    private static Errno Compare(uint[] cache, WordArguments word)
        => word.Index < (uint)cache.Length && cache[word.Index] == word.Value ? Errno.None : Errno.EINVAL;

    /// <summary>One page is asked for, and nobody minds when nobody handles that.</summary>
    private static Errno TriggerFault(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        FaultArguments fault = command.Fault;
        Errno error = context.TryGet(fault.DeviceId, out IommufdDevice? device);
        if (error == Errno.None)
        {
            _ = device!.ReportFaults([new PageFault(fault.Address, fault.Permissions, fault.GroupId, fault.Pasid)], static _ => { });
            context.Put(device);
        }

        return error;
    }

    private static Errno TriggerEvent(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = context.TryGet(command.EventDevice, out IommufdDevice? device);
        if (error != Errno.None)
        {
            return error;
        }

        error = Errno.ENOENT;
        if (device!.GetPageTable() is NestedHardwarePageTable { VirtualIommu: { } viommu }
            && viommu.TryGetVirtualId(device.Device.IommuGroup!, out ulong virtualId) && virtualId != 0)
        {
            error = viommu.ReportEvent(MockIommu.EventType, BitConverter.GetBytes((uint)virtualId));
        }

        context.Put(device);
        return error;
    }
}
