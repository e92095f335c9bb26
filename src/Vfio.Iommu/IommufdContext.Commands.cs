using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private const ulong PageSize = 4096;
    private const uint MapFlags =
        IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA | IommufdUapi.IOMMU_IOAS_MAP_WRITEABLE | IommufdUapi.IOMMU_IOAS_MAP_READABLE;

    private static readonly ProcessUserMemory s_processMemory = new();

    private delegate IoResult Handler<T>(IommufdContext context, ref T command, Reply reply)
        where T : unmanaged;

    /// <summary>Executes an iommufd command in its binary form.</summary>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure, which begins with its size.</param>
    /// <returns>0, or an errno.</returns>
    /// <remarks><c>iommufd_fops_ioctl</c>; spec iommufd §2.1 gives the order of the checks, §2.2–§2.11 the commands.</remarks>
    public override IoResult Ioctl(uint command, UserArgument argument)
    {
        const uint First = IommufdUapi.IOMMUFD_CMD_BASE;
        const uint Last = IommufdUapi.IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA;
        if ((command & 0xFF) is < First or > Last)
        {
            return Errno.ENOTTY;
        }

        Errno error = argument.Read(0, out uint size);
        if (error != Errno.None)
        {
            return error;
        }

        return command switch
        {
            IommufdUapi.IOMMU_DESTROY => Run<iommu_destroy>(argument, size, 8, static (context, ref command, _) => context.Destroy(command.id)),
            IommufdUapi.IOMMU_IOAS_ALLOC => Run<iommu_ioas_alloc>(argument, size, 12, AllocateIoasCommand),
            IommufdUapi.IOMMU_IOAS_ALLOW_IOVAS => Run<iommu_ioas_allow_iovas>(argument, size, 24, AllowIovasCommand),
            IommufdUapi.IOMMU_IOAS_IOVA_RANGES => Run<iommu_ioas_iova_ranges>(argument, size, 32, IovaRangesCommand),
            IommufdUapi.IOMMU_IOAS_MAP => Run<iommu_ioas_map>(argument, size, 40, MapCommand),
            IommufdUapi.IOMMU_IOAS_MAP_FILE => Run<iommu_ioas_map_file>(argument, size, 40, MapFileCommand),
            IommufdUapi.IOMMU_IOAS_COPY => Run<iommu_ioas_copy>(argument, size, 40, CopyCommand),
            IommufdUapi.IOMMU_IOAS_UNMAP => Run<iommu_ioas_unmap>(argument, size, 24, UnmapCommand),
            IommufdUapi.IOMMU_OPTION => Run<iommu_option>(argument, size, 24, OptionCommand),
            IommufdUapi.IOMMU_VFIO_IOAS => Run<iommu_vfio_ioas>(argument, size, 12, VfioIoasCommand),
            _ => Errno.ENOTTY,
        };
    }

    /// <summary>Copies a structure in by the rules of versioned structures, and executes its command.</summary>
    private IoResult Run<T>(UserArgument argument, uint size, int minimum, Handler<T> handler)
        where T : unmanaged
    {
        if (size < minimum)
        {
            return Errno.EINVAL;
        }

        uint known = (uint)Unsafe.SizeOf<T>();
        for (ulong at = known; at < size; at++)
        {
            Errno tailError = argument.Read(at, out byte tail);
            if (tailError != Errno.None || tail != 0)
            {
                return tailError != Errno.None ? tailError : Errno.E2BIG;
            }
        }

        T command = default;
        int length = (int)Math.Min(size, known);
        Errno error = argument.Read(0, MemoryMarshal.AsBytes(new Span<T>(ref command))[..length]);
        return error != Errno.None ? error : handler(this, ref command, new Reply(argument, length));
    }

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
        error = reply.Write(in command);
        if (error != Errno.None)
        {
            _ = context.Destroy(ioas.Id);
        }

        return error;
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

        if (unchecked(command.user_va + command.length) < command.user_va)
        {
            error = Errno.EOVERFLOW;
        }
        else if (command.length is 0 or > ulong.MaxValue - PageSize)
        {
            error = Errno.EINVAL;
        }
        else
        {
            IUserMemory memory = reply.Argument.Memory ?? s_processMemory;
            bool writable = (command.flags & IommufdUapi.IOMMU_IOAS_MAP_WRITEABLE) != 0;
            UserMemorySource source = new(memory, command.user_va, command.length, writable);
            error = Map(ioas!, command.flags, ref command.iova, command.length, source);
            source.RemoveReference();
        }

        context.Put(ioas!);
        return error != Errno.None ? error : reply.Write(in command);
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
            error = Map(ioas!, command.flags, ref command.iova, command.length, source!);
            source!.RemoveReference();
        }

        context.Put(ioas!);
        return error != Errno.None ? error : reply.Write(in command);
    }

    private static Errno OpenFile(object? file, in iommu_ioas_map_file command, out MemorySource? source)
    {
        source = null;
        if (file is not FileDescriptor descriptor)
        {
            return Errno.EINVAL;
        }

        Errno error = descriptor.TryDuplicate(out FileDescriptor? own);
        if (error != Errno.None)
        {
            return error;
        }

        error = DescriptorMemory.TryCreate(own!, command.start, command.length, AccessOf(command.flags), DescriptorMemoryPolicy.Safe, out source);
        if (error != Errno.None)
        {
            own!.Dispose();
        }

        return error;
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

    private static IoResult OptionCommand(IommufdContext context, ref iommu_option command, Reply reply)
    {
        if (command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = command.option_id switch
        {
            IommufdUapi.IOMMU_OPTION_RLIMIT_MODE => context.AccountingOption(ref command),
            IommufdUapi.IOMMU_OPTION_HUGE_PAGES => context.LargePagesOption(ref command),
            _ => Errno.EOPNOTSUPP,
        };
        const ulong ValueOffset = 16;
        return error != Errno.None ? error : reply.Argument.Write(ValueOffset, command.val64);
    }

    private Errno AccountingOption(ref iommu_option command)
    {
        if (command.object_id != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        lock (_lock)
        {
            switch ((uint)command.op)
            {
                case IommufdUapi.IOMMU_OPTION_OP_GET:
                    command.val64 = _accountByProcess ? 1u : 0u;
                    return Errno.None;
                case IommufdUapi.IOMMU_OPTION_OP_SET:
                    if ((_capabilities() & CallerCapabilities.SysResource) == 0)
                    {
                        return Errno.EPERM;
                    }

                    if (_objects.Count != 0)
                    {
                        return Errno.EBUSY;
                    }

                    if (command.val64 > 1)
                    {
                        return Errno.EINVAL;
                    }

                    _accountByProcess = command.val64 == 1;
                    return Errno.None;
                default:
                    return Errno.EOPNOTSUPP;
            }
        }
    }

    private Errno LargePagesOption(ref iommu_option command)
    {
        Errno error = TryGet(command.object_id, out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        switch ((uint)command.op)
        {
            case IommufdUapi.IOMMU_OPTION_OP_GET:
                command.val64 = ioas!.GetLargePages() ? 1u : 0u;
                break;
            case IommufdUapi.IOMMU_OPTION_OP_SET:
                error = command.val64 > 1 ? Errno.EINVAL : ioas!.SetLargePages(command.val64 == 1);
                break;
            default:
                error = Errno.EOPNOTSUPP;
                break;
        }

        Put(ioas!);
        return error;
    }

    private static IoResult VfioIoasCommand(IommufdContext context, ref iommu_vfio_ioas command, Reply reply)
    {
        if (command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        switch ((uint)command.op)
        {
            case IommufdUapi.IOMMU_VFIO_IOAS_GET:
                lock (context._lock)
                {
                    command.ioas_id = context._compatIoas;
                }

                return command.ioas_id == 0 ? Errno.ENODEV : reply.Write(in command);
            case IommufdUapi.IOMMU_VFIO_IOAS_SET:
                Errno error = context.TryGet(command.ioas_id, out Ioas? ioas);
                if (error == Errno.None)
                {
                    lock (context._lock)
                    {
                        context._compatIoas = ioas!.Id;
                    }

                    context.Put(ioas!);
                }

                return error;
            case IommufdUapi.IOMMU_VFIO_IOAS_CLEAR:
                lock (context._lock)
                {
                    context._compatIoas = 0;
                }

                return IoResult.Success();
            default:
                return Errno.EOPNOTSUPP;
        }
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

    private static Errno Map(Ioas ioas, uint flags, ref ulong iova, ulong length, MemorySource source)
        => (flags & IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA) != 0
            ? ioas.MapFixed(iova, length, source, 0, AccessOf(flags))
            : ioas.MapAnywhere(source.PlacementHint(0), length, source, 0, AccessOf(flags), out iova);

    /// <summary>Where a command's structure is written back: never beyond what the caller has.</summary>
    private readonly ref struct Reply(UserArgument argument, int length)
    {
        public UserArgument Argument { get; } = argument;

        public Errno Write<T>(in T command)
            where T : unmanaged
            => Argument.Write(0, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in command))[..length]);
    }
}
