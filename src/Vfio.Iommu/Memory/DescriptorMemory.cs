using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>Turns a descriptor that a user or a peer gave into a memory source, by the safest way that is fast.</summary>
public static class DescriptorMemory
{
    private const ulong PageSize = 4096;

    /// <summary>/dev/mem, /dev/null, /dev/zero and /dev/full. A read of other character devices, of /dev/fuse or /dev/kmsg for two, may wait for ever.</summary>
    private static readonly ulong[] s_memoryDevices = [(1UL << 32) | 1, (1UL << 32) | 3, (1UL << 32) | 5, (1UL << 32) | 7];

    // Address space and mappings belong to the whole process, its runtime included: 128 TiB, and 65530 (vm.max_map_count). Users who are
    // not trusted share a part of them; what goes beyond is reached by positioned reads and writes.
    private const long MaximumMappedBytes = 32L << 40;
    private const int MaximumMappings = 32_768;
    private static long s_mappedBytes;
    private static int s_mappings;

    /// <summary>Makes a source of a part of a file.</summary>
    /// <param name="descriptor">The file: ordinary, memfd, hugetlbfs, or a memory device. Owned by the source on success, by the caller otherwise.</param>
    /// <param name="offset">Where the part starts, in bytes; need not be page aligned.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="access">The access that the mapping will grant.</param>
    /// <param name="policy">How the memory is reached.</param>
    /// <param name="source">The source.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when the file is of another kind, too short, or the numbers wrap, and where nobody
    /// is trusted also for a file that a process serves (FUSE), which could let every access wait for ever;
    /// <see cref="Errno.EACCES"/> when it is not open for the access; or what mapping it reported.
    /// </returns>
    public static Errno TryCreate(FileDescriptor descriptor, ulong offset, ulong length, DmaAccess access, DescriptorMemoryPolicy policy, out MemorySource? source)
    {
        source = null;
        if (length == 0 || offset > long.MaxValue || length > long.MaxValue - offset)
        {
            return Errno.EINVAL;
        }

        Errno error = descriptor.TryGetStatus(out FileStatus status);
        if (error != Errno.None)
        {
            return error;
        }

        switch (status.Kind)
        {
            case FileKind.Regular:
                // A page that the file covers in part may be used whole: the kernel pads it with zeros.
                if (offset + length > RoundUp(status.Size, PageSize))
                {
                    return Errno.EINVAL;
                }

                break;
            case FileKind.BlockDevice:
            case FileKind.CharacterDevice when policy == DescriptorMemoryPolicy.Trusted || s_memoryDevices.Contains(status.RepresentedDevice):
                break;
            default:
                return Errno.EINVAL;
        }

        error = CheckMode(descriptor, access);
        if (error != Errno.None)
        {
            return error;
        }

        bool writable = (access & DmaAccess.Write) != 0;
        bool budgeted = policy == DescriptorMemoryPolicy.Safe && status.Kind == FileKind.Regular && CannotShrink(descriptor) && TryTakeBudget(length);
        if (policy == DescriptorMemoryPolicy.Trusted || budgeted)
        {
            ulong start = offset & (PageSize - 1);
            error = MemoryMapping.TryMap(
                descriptor,
                offset - start,
                (nuint)(start + length),
                writable ? MemoryProtection.ReadWrite : MemoryProtection.Read,
                out MemoryMapping? mapping);
            if (error != Errno.None)
            {
                ReturnBudget(budgeted, length);
                return error;
            }

            // The size is read again now that it cannot shrink: the check above may have been overtaken.
            if (policy == DescriptorMemoryPolicy.Safe
                && (descriptor.TryGetStatus(out status) != Errno.None || offset + length > RoundUp(status.Size, PageSize)))
            {
                mapping!.Dispose();
                ReturnBudget(budgeted, length);
                return Errno.EINVAL;
            }

            source = new MappedMemorySource(mapping!, start, length, writable, ownsMapping: true, offset) { IsBudgeted = budgeted, IsOfFile = true };
            descriptor.Dispose(); // The mapping keeps the file.
            return Errno.None;
        }

        if (descriptor.IsServedByProcess())
        {
            return Errno.EINVAL;
        }

        source = new DescriptorMemorySource(descriptor, offset, length, writable);
        return Errno.None;
    }

    /// <summary>Gives back what mapping a source took of the process's budget.</summary>
    /// <param name="budgeted">Whether it took any.</param>
    /// <param name="length">The source's length.</param>
    internal static void ReturnBudget(bool budgeted, ulong length)
    {
        if (budgeted)
        {
            Interlocked.Add(ref s_mappedBytes, -(long)length);
            Interlocked.Decrement(ref s_mappings);
        }
    }

    private static bool TryTakeBudget(ulong length)
    {
        if (length > (ulong)MaximumMappedBytes)
        {
            return false;
        }

        bool mapping = Interlocked.Increment(ref s_mappings) <= MaximumMappings;
        if (Interlocked.Add(ref s_mappedBytes, (long)length) <= MaximumMappedBytes && mapping)
        {
            return true;
        }

        ReturnBudget(budgeted: true, length);
        return false;
    }

    private static Errno CheckMode(FileDescriptor descriptor, DmaAccess access)
    {
        Errno error = descriptor.TryGetMode(out OpenMode mode);
        bool reads = (access & DmaAccess.Read) == 0 || (mode & OpenMode.WriteOnly) == 0;
        bool writes = (access & DmaAccess.Write) == 0 || (mode & (OpenMode.WriteOnly | OpenMode.ReadWrite)) != 0;
        return error != Errno.None ? error
            : (mode & OpenMode.PathOnly) != 0 ? Errno.EINVAL
            : reads && writes ? Errno.None : Errno.EACCES;
    }

    private static bool CannotShrink(FileDescriptor descriptor)
    {
        if (MemFd.TryGetSeals(descriptor, out FileSeals seals) != Errno.None)
        {
            return false; // Not a memfd.
        }

        return (seals & FileSeals.Shrink) != 0 || MemFd.TryAddSeals(descriptor, FileSeals.Shrink) == Errno.None;
    }

    private static ulong RoundUp(ulong value, ulong unit) => (value + unit - 1) & ~(unit - 1);
}
