using System.Numerics;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private const uint MaximumInvalidations = 1 << 19;

    private static IoResult AllocatePageTableCommand(IommufdContext context, ref iommu_hwpt_alloc command, Reply reply)
    {
        if (command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        if ((command.data_type == IommufdUapi.IOMMU_HWPT_DATA_NONE) != (command.data_len == 0))
        {
            return Errno.EINVAL;
        }

        Errno error = context.TryGet(command.dev_id, out IommufdDevice? device);
        if (error != Errno.None)
        {
            return error;
        }

        UserData data = new(command.data_type, reply.Argument.At(command.data_uptr), command.data_len);
        error = context.CreatePageTable(device!, command.pt_id, (DomainOptions)command.flags, data, command.fault_id, out HardwarePageTable? pageTable);
        context.Put(device!);
        if (error != Errno.None)
        {
            return error;
        }

        command.out_hwpt_id = pageTable!.Id;
        return context.Answer(reply, in command, pageTable);
    }

    private static IoResult HardwareInfoCommand(IommufdContext context, ref iommu_hw_info command, Reply reply)
    {
        if ((command.flags & ~IommufdUapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE) != 0 || HasReserved(in command))
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = context.TryGet(command.dev_id, out IommufdDevice? device);
        if (error != Errno.None)
        {
            return error;
        }

        uint type = (command.flags & IommufdUapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE) != 0
            ? command.in_data_type
            : IommufdUapi.IOMMU_HW_INFO_TYPE_DEFAULT;
        error = device!.Hardware.Describe(ref type, out ReadOnlyMemory<byte> description);
        IIommuDevice described = device.Device;
        context.Put(device);
        if (error == Errno.None)
        {
            error = Fill(reply.Argument.At(command.data_uptr), command.data_len, description.Span);
        }

        if (error != Errno.None)
        {
            return error;
        }

        command.data_len = (uint)description.Length;
        command.out_data_type = type;
        command.out_max_pasid_log2 = (byte)(described.PasidCount == 0 ? 0 : BitOperations.Log2(described.PasidCount));
        command.out_capabilities = (described.TracksWrites ? IommufdUapi.IOMMU_HW_CAP_DIRTY_TRACKING : 0)
            | (described.CachesTranslations ? 0 : IommufdUapi.IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
        return reply.Write(in command);
    }

    private static unsafe bool HasReserved(in iommu_hw_info command) => (command.__reserved[0] | command.__reserved[1] | command.__reserved[2]) != 0;

    /// <summary>Copies as much as there is room for, and clears the rest of the room.</summary>
    private static Errno Fill(UserArgument target, uint room, ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<byte> part = data[..(int)Math.Min(room, (uint)data.Length)];
        Errno error = part.IsEmpty ? Errno.None : target.Write(0, part);
        ReadOnlySpan<byte> zeros = stackalloc byte[256];
        for (ulong at = (ulong)part.Length; at < room && error == Errno.None;)
        {
            ReadOnlySpan<byte> piece = zeros[..(int)Math.Min(room - at, (ulong)zeros.Length)];
            error = target.Write(at, piece);
            at += (ulong)piece.Length;
        }

        return error;
    }

    private static IoResult SetDirtyTrackingCommand(IommufdContext context, ref iommu_hwpt_set_dirty_tracking command, Reply reply)
    {
        if ((command.flags & ~IommufdUapi.IOMMU_HWPT_DIRTY_TRACKING_ENABLE) != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = context.TryGet(command.hwpt_id, out PagingHardwarePageTable? pageTable);
        if (error != Errno.None)
        {
            return error;
        }

        error = pageTable!.SetDirtyTracking((command.flags & IommufdUapi.IOMMU_HWPT_DIRTY_TRACKING_ENABLE) != 0);
        context.Put(pageTable);
        return error;
    }

    private static IoResult GetDirtyBitmapCommand(IommufdContext context, ref iommu_hwpt_get_dirty_bitmap command, Reply reply)
    {
        if ((command.flags & ~IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) != 0 || command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = context.TryGet(command.hwpt_id, out PagingHardwarePageTable? pageTable);
        if (error != Errno.None)
        {
            return error;
        }

        error = GetDirtyBitmap(pageTable!, in command, reply.Argument);
        context.Put(pageTable!);
        return error;
    }

    private static Errno GetDirtyBitmap(PagingHardwarePageTable pageTable, in iommu_hwpt_get_dirty_bitmap command, UserArgument argument)
    {
        if (command.length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(command.iova, command.length, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        if (command.page_size == 0 || ((command.iova | unchecked(range.Last + 1)) & (command.page_size - 1)) != 0)
        {
            return Errno.EINVAL;
        }

        // The runs are written when the walk is over: the caller's memory is not touched under the address space's locks.
        List<IovaRange> written = [];
        bool clear = (command.flags & IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) == 0;
        Errno error = pageTable.ReadDirty(range, clear, run =>
        {
            if (written.Count > 0 && written[^1].Last + 1 == run.Start && IovaRange.TryCreateInclusive(written[^1].Start, run.Last, out IovaRange joined))
            {
                written[^1] = joined;
            }
            else
            {
                written.Add(run);
            }
        });
        int shift = BitOperations.TrailingZeroCount(command.page_size);
        foreach (IovaRange run in written)
        {
            // A bitmap that can't be written loses bits, and the command succeeds all the same (spec iommufd Q3).
            SetBits(argument.At(command.data), (run.Start - range.Start) >> shift, (run.Last - range.Start) >> shift);
        }

        return error;
    }

    /// <summary>Sets bits of a caller's bitmap and leaves the others.</summary>
    private static void SetBits(UserArgument bitmap, ulong first, ulong last)
    {
        Span<byte> bytes = stackalloc byte[256];
        ulong at = first / 8;
        while (at <= last / 8)
        {
            Span<byte> part = bytes[..(int)Math.Min((ulong)bytes.Length, (last / 8) - at + 1)];
            if (bitmap.Read(at, part) != Errno.None)
            {
                part.Clear();
            }

            for (int i = 0; i < part.Length; i++)
            {
                ulong bit = (at + (ulong)i) * 8;
                int from = (int)(bit >= first ? 0 : first - bit);
                int to = (int)Math.Min(7, last - bit);
                part[i] |= (byte)((0xFF << from) & (0xFF >> (7 - to)));
            }

            _ = bitmap.Write(at, part);
            at += (ulong)part.Length;
        }
    }

    private static IoResult InvalidateCommand(IommufdContext context, ref iommu_hwpt_invalidate command, Reply reply)
    {
        Errno error = context.Invalidate(in command, reply.Argument, out uint done);
        command.entry_num = done;
        return reply.Write(in command) != Errno.None ? Errno.EFAULT : error;
    }

    private Errno Invalidate(in iommu_hwpt_invalidate command, UserArgument argument, out uint done)
    {
        done = 0;
        if (command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        if (command.entry_num != 0
            && (command.data_uptr == 0 || command.entry_len is 0 or > (uint)PageSize || command.entry_num > MaximumInvalidations))
        {
            return Errno.EINVAL;
        }

        Errno error = TryGet(command.hwpt_id, out IommufdObject? target);
        if (error != Errno.None)
        {
            return error;
        }

        InvalidationRequest request = new(command.data_type, argument.At(command.data_uptr), command.entry_len, command.entry_num);
        error = target switch
        {
            NestedHardwarePageTable nested => nested.NestedDomain.CanInvalidate ? nested.NestedDomain.Invalidate(in request, out done) : Errno.EOPNOTSUPP,
            VirtualIommu viommu => viommu.Hardware.CanInvalidate ? viommu.Hardware.Invalidate(in request, out done) : Errno.EOPNOTSUPP,
            _ => Errno.EINVAL,
        };
        Put(target!);
        return error;
    }

    private static IoResult AllocateFaultQueueCommand(IommufdContext context, ref iommu_fault_alloc command, Reply reply)
    {
        if (command.flags != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        FaultQueue queue = new(context);
        Errno error = context.Publish(queue);
        if (error != Errno.None)
        {
            return error;
        }

        context.AddUser(queue);
        FaultQueueFile file = new(queue);
        queue.File = file;
        IoResult installed = Install(file, reply.Argument.Files);
        if (installed.IsError)
        {
            context.Discard(queue);
            return installed;
        }

        command.out_fault_id = queue.Id;
        command.out_fault_fd = (uint)installed.Value;
        return context.Answer(reply, in command, queue, file, (int)installed.Value);
    }

    /// <summary>Gives the caller a queue's file.</summary>
    /// <returns>Its number; on failure the file is closed.</returns>
    private static IoResult Install(EventFile file, FileTable? files)
    {
        IoResult installed = files?.Install(file) ?? Errno.EMFILE;
        if (installed.IsError)
        {
            file.Dispose();
        }

        return installed;
    }

    /// <summary>As the other one, for an object with a file, which goes too.</summary>
    private Errno Answer<T>(Reply reply, in T command, IommufdObject made, EventFile file, int number)
        where T : unmanaged
    {
        Errno error = reply.Write(in command);
        if (error != Errno.None)
        {
            reply.Argument.Files!.Remove(number);
            file.Dispose();
            Discard(made);
        }

        return error;
    }
}
