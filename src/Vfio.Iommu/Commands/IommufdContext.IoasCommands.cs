using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private const uint MapFlags =
        IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA | IommufdUapi.IOMMU_IOAS_MAP_WRITEABLE | IommufdUapi.IOMMU_IOAS_MAP_READABLE;

    private static readonly ProcessUserMemory s_processMemory = new();

    private static IoResult AllocateIoasCommand(IommufdContext context, ref iommu_ioas_alloc command, Reply reply)
    {
        if (command.flags != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = context.AllocateIoas(out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        command.out_ioas_id = ioas!.Id;
        return context.Answer(reply, in command, ioas);
    }

    private static IoResult AllowIovasCommand(IommufdContext context, ref iommu_ioas_allow_iovas command, Reply reply)
    {
        if (command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = context.TryGet(command.ioas_id, out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        List<IovaRange> ranges = [];
        UserArgument list = reply.Argument.At(command.allowed_iovas);
        for (uint i = 0; i < command.num_iovas && error == Errno.None; i++)
        {
            error = list.Read(i * 16ul, out iommu_iova_range raw);
            if (error != Errno.None)
            {
                break;
            }

            // One-byte ranges are refused as well, as in the kernel.
            if (raw.start >= raw.last
                || !IovaRange.TryCreateInclusive(raw.start, raw.last, out IovaRange range)
                || ranges.Exists(range.Overlaps))
            {
                error = Errno.EINVAL;
            }
            else if (ranges.Count >= context.Limits.MaximumAllowedRanges)
            {
                error = Errno.ENOMEM;
            }
            else
            {
                ranges.Add(range);
            }
        }

        if (error == Errno.None)
        {
            error = ioas!.SetAllowedRanges(CollectionsMarshal.AsSpan(ranges));
        }

        context.Put(ioas!);
        return error;
    }

    private static IoResult IovaRangesCommand(IommufdContext context, ref iommu_ioas_iova_ranges command, Reply reply)
    {
        if (command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = context.TryGet(command.ioas_id, out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        int total = ioas!.GetUsableRanges(default);
        IovaRange[] ranges = new IovaRange[total];
        total = Math.Min(ioas.GetUsableRanges(ranges), ranges.Length);
        UserArgument list = reply.Argument.At(command.allowed_iovas);
        for (uint i = 0; i < total && i < command.num_iovas && error == Errno.None; i++)
        {
            error = list.Write(i * 16ul, new iommu_iova_range { start = ranges[i].Start, last = ranges[i].Last });
        }

        uint room = command.num_iovas;
        command.num_iovas = (uint)total;
        command.out_iova_alignment = ioas.Alignment;
        context.Put(ioas);
        if (error == Errno.None)
        {
            error = reply.Write(in command);
        }

        return error == Errno.None && total > room ? Errno.EMSGSIZE : error;
    }

    private static IoResult MapCommand(IommufdContext context, ref iommu_ioas_map command, Reply reply)
    {
        if ((command.flags & ~MapFlags) != 0 || command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = CheckMap(context, command.flags, command.ioas_id, command.iova, command.length, out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        bool isFixed = (command.flags & IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA) != 0;
        error = context.MapUserMemory(ioas!, reply.Argument.Memory, command.user_va, command.length, isFixed, ref command.iova, AccessOf(command.flags));
        context.Put(ioas!);
        return error != Errno.None ? error : reply.Write(in command);
    }

    /// <summary>A map from step 5 on (spec iommufd §2.6).</summary>
    private Errno MapUserMemory(Ioas ioas, IUserMemory? memory, ulong address, ulong length, bool isFixed, ref ulong iova, DmaAccess access)
    {
        if (unchecked(address + length) < address)
        {
            return Errno.EOVERFLOW;
        }

        if (length is 0 or > ulong.MaxValue - PageSize)
        {
            return Errno.EINVAL;
        }

        UserMemorySource source = new(memory ?? s_processMemory, address, length, (access & DmaAccess.Write) != 0);
        Errno error = Map(ioas, isFixed, ref iova, length, source, access);
        source.RemoveReference();
        return error;
    }

    private static IoResult MapFileCommand(IommufdContext context, ref iommu_ioas_map_file command, Reply reply)
    {
        if ((command.flags & ~MapFlags) != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = CheckMap(context, command.flags, command.ioas_id, command.iova, command.length, out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        MemorySource? source = null;
        object? file = null;
        if (command.length == 0)
        {
            error = Errno.EINVAL;
        }
        else if (unchecked(command.start + command.length - 1) < command.start)
        {
            error = Errno.EOVERFLOW;
        }
        else
        {
            error = reply.Argument.Files?.TryGet(command.fd, out file) ?? Errno.EBADF;
        }

        if (error == Errno.None)
        {
            error = OpenFile(file, in command, out source);
        }

        if (error == Errno.None)
        {
            bool isFixed = (command.flags & IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA) != 0;
            error = Map(ioas!, isFixed, ref command.iova, command.length, source!, AccessOf(command.flags));
            source!.RemoveReference();
        }

        context.Put(ioas!);
        return error != Errno.None ? error : reply.Write(in command);
    }

    private static Errno OpenFile(object? file, in iommu_ioas_map_file command, out MemorySource? source)
    {
        source = null;
        DmaAccess access = AccessOf(command.flags);
        bool writable = (access & DmaAccess.Write) != 0;
        if (file is DmaBufFile buffer)
        {
            return DmaBufMemorySource.TryImport(buffer, command.start, command.length, writable, out source);
        }

        if (file is not FileDescriptor descriptor)
        {
            // A file of ours, which has no memory to map: that shows when it is needed, as with any other.
            source = new OtherFileSource(command.start, command.length, writable);
            return Errno.None;
        }

        Errno error = descriptor.TryDuplicate(out FileDescriptor? own);
        if (error != Errno.None)
        {
            return error;
        }

        error = DescriptorMemory.TryCreate(own!, command.start, command.length, access, DescriptorMemoryPolicy.Safe, out source);
        if (error != Errno.None)
        {
            // What the file is good for is judged when its memory is needed, as in the kernel (spec iommufd Q9).
            source = new DescriptorMemorySource(own!, command.start, command.length, writable);
        }

        return Errno.None;
    }

    private static IoResult CopyCommand(IommufdContext context, ref iommu_ioas_copy command, Reply reply)
    {
        if ((command.flags & ~MapFlags) != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        if (command.length == ulong.MaxValue || command.src_iova == ulong.MaxValue || command.dst_iova == ulong.MaxValue)
        {
            return Errno.EOVERFLOW;
        }

        DmaAccess access = AccessOf(command.flags);
        if (access == DmaAccess.None)
        {
            return Errno.EINVAL;
        }

        Errno error = context.TryGet(command.src_ioas_id, out Ioas? source);
        if (error != Errno.None)
        {
            return error;
        }

        Ioas? destination = null;
        if (command.length == 0)
        {
            error = Errno.EINVAL;
        }
        else if (!IovaRange.TryCreate(command.src_iova, command.length, out IovaRange range))
        {
            error = Errno.EOVERFLOW;
        }
        else if (!source!.IsMapped(range))
        {
            error = Errno.ENOENT;
        }
        else
        {
            error = context.TryGet(command.dst_ioas_id, out destination);
            if (error == Errno.None)
            {
                bool isFixed = (command.flags & IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA) != 0;
                error = destination!.Copy(source, range, access, isFixed, ref command.dst_iova);
                context.Put(destination);
            }
        }

        context.Put(source!);
        return error != Errno.None ? error : reply.Write(in command);
    }

    private static IoResult UnmapCommand(IommufdContext context, ref iommu_ioas_unmap command, Reply reply)
    {
        Errno error = context.TryGet(command.ioas_id, out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        ulong unmapped = 0;
        if (command.iova == 0 && command.length == ulong.MaxValue)
        {
            error = ioas!.Unmap(IovaRange.All, out unmapped);
        }
        else if (command.iova == ulong.MaxValue || command.length == ulong.MaxValue)
        {
            error = Errno.EOVERFLOW;
        }
        else if (command.length == 0)
        {
            error = Errno.EINVAL;
        }
        else if (!IovaRange.TryCreate(command.iova, command.length, out IovaRange range))
        {
            error = Errno.EOVERFLOW;
        }
        else
        {
            error = ioas!.Unmap(range, out unmapped);
            error = error == Errno.None && unmapped == 0 ? Errno.ENOENT : error;
        }

        context.Put(ioas!);
        if (error != Errno.None)
        {
            return error;
        }

        command.length = unmapped;
        return reply.Write(in command);
    }

    private static DmaAccess AccessOf(uint flags)
        => ((flags & IommufdUapi.IOMMU_IOAS_MAP_READABLE) != 0 ? DmaAccess.Read : DmaAccess.None)
            | ((flags & IommufdUapi.IOMMU_IOAS_MAP_WRITEABLE) != 0 ? DmaAccess.Write : DmaAccess.None);

    /// <summary>Steps 2 to 4 of a map (spec iommufd §2.6).</summary>
    private static Errno CheckMap(IommufdContext context, uint flags, uint ioasId, ulong iova, ulong length, out Ioas? ioas)
    {
        ioas = null;
        if (iova == ulong.MaxValue || length == ulong.MaxValue)
        {
            return Errno.EOVERFLOW;
        }

        return AccessOf(flags) == DmaAccess.None ? Errno.EINVAL : context.TryGet(ioasId, out ioas);
    }

    private static Errno Map(Ioas ioas, bool isFixed, ref ulong iova, ulong length, MemorySource source, DmaAccess access)
        => isFixed
            ? ioas.MapFixedWithAnyRights(iova, length, source, 0, access)
            : ioas.MapAnywhere(source.PlacementHint(0), length, source, 0, access, out iova);
}
