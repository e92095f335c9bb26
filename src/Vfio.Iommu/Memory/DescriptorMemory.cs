using System.Numerics;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>Turns a descriptor that a user or a peer gave into a memory source, by the safest way that is fast.</summary>
/// <remarks>For a peer that sends many descriptors of few files there is <see cref="DescriptorMemoryPool"/>.</remarks>
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
        Errno error = Examine(descriptor, offset, length, access, policy, out FileStatus status, out _);
        if (error != Errno.None)
        {
            return error;
        }

        bool writable = (access & DmaAccess.Write) != 0;
        if (MayMap(descriptor, in status, policy))
        {
            (ulong start, ulong end) = Around(in status, offset, length, UnitOf(in status));
            error = TryMap(descriptor, start, end, writable, policy, out MemoryMapping? mapping);
            if (error == Errno.None)
            {
                source = new FileWindow(mapping!, start, writable, policy != DescriptorMemoryPolicy.Trusted).Show(offset, length);
                descriptor.Dispose(); // The mapping keeps the file.
                return Errno.None;
            }

            if (error != Errno.ENOSPC)
            {
                return error;
            }
        }

        if (descriptor.IsServedByProcess())
        {
            return Errno.EINVAL;
        }

        FileWindow? window = null;
        if (NeedsWindow(descriptor, in status, writable))
        {
            (ulong start, ulong end) = Around(in status, offset, length, UnitOf(in status));
            error = TryMap(descriptor, start, end, writable, DescriptorMemoryPolicy.Safe, out MemoryMapping? mapping);
            if (error != Errno.None)
            {
                return error;
            }

            window = new FileWindow(mapping!, start, writable, budgeted: true);
        }

        DescriptorMemorySource file = new(descriptor, offset, length, writable);
        source = window is null ? file : new HugePageFileSource(file, window);
        return Errno.None;
    }

    /// <summary>Whether a file that is not to be touched must be mapped all the same, for the kernel to write to it.</summary>
    internal static bool NeedsWindow(FileDescriptor descriptor, in FileStatus status, bool writable)
        => writable && status.Kind == FileKind.Regular && status.BlockSize > PageSize && descriptor.IsOfHugePages();

    /// <summary>Checks a part of a file against the file.</summary>
    /// <returns>As for <see cref="TryCreate"/>.</returns>
    internal static Errno Examine(
        FileDescriptor descriptor, ulong offset, ulong length, DmaAccess access, DescriptorMemoryPolicy policy, out FileStatus status, out OpenMode mode)
    {
        mode = default;
        status = default;
        if (length == 0 || offset > long.MaxValue || length > long.MaxValue - offset)
        {
            return Errno.EINVAL;
        }

        Errno error = descriptor.TryGetStatus(out status);
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

        error = descriptor.TryGetMode(out mode);
        bool reads = (access & DmaAccess.Read) == 0 || (mode & OpenMode.WriteOnly) == 0;
        bool writes = (access & DmaAccess.Write) == 0 || (mode & (OpenMode.WriteOnly | OpenMode.ReadWrite)) != 0;
        return error != Errno.None ? error
            : (mode & OpenMode.PathOnly) != 0 ? Errno.EINVAL
            : reads && writes ? Errno.None : Errno.EACCES;
    }

    /// <summary>Whether a file may be mapped: its owner is trusted, or cannot shrink it, from now on.</summary>
    internal static bool MayMap(FileDescriptor descriptor, in FileStatus status, DescriptorMemoryPolicy policy) => policy switch
    {
        DescriptorMemoryPolicy.Trusted => true,
        DescriptorMemoryPolicy.Safe => status.Kind == FileKind.Regular && CannotShrink(descriptor),
        _ => false,
    };

    /// <summary>Maps a part of a file that <see cref="MayMap"/>, within the process's budget.</summary>
    /// <param name="descriptor">The file; the caller's.</param>
    /// <param name="start">First byte, a multiple of the page size.</param>
    /// <param name="end">Behind the last byte, a multiple of the page size.</param>
    /// <param name="writable">Whether writes are allowed.</param>
    /// <param name="policy">Whether the owner is trusted; otherwise the file must reach to the end now.</param>
    /// <param name="mapping">The mapping. Unless the owner is trusted it counts in the budget, which its holder gives back.</param>
    /// <returns><see cref="Errno.ENOSPC"/> when the budget is used up, <see cref="Errno.EINVAL"/> when the file is shorter, or what <c>mmap(2)</c> answers.</returns>
    internal static Errno TryMap(FileDescriptor descriptor, ulong start, ulong end, bool writable, DescriptorMemoryPolicy policy, out MemoryMapping? mapping)
    {
        mapping = null;
        bool budgeted = policy != DescriptorMemoryPolicy.Trusted;
        ulong length = end - start;
        if (budgeted && !TryTakeBudget(length))
        {
            return Errno.ENOSPC;
        }

        Errno error = MemoryMapping.TryMap(
            descriptor, start, (nuint)length, writable ? MemoryProtection.ReadWrite : MemoryProtection.Read, out mapping);

        // The size is read again now that it cannot shrink: an earlier look may have been overtaken.
        if (error == Errno.None && budgeted && (descriptor.TryGetStatus(out FileStatus status) != Errno.None || end > RoundUp(status.Size, PageSize)))
        {
            mapping!.Dispose();
            mapping = null;
            error = Errno.EINVAL;
        }

        if (error != Errno.None)
        {
            ReturnBudget(budgeted, length);
        }

        return error;
    }

    /// <summary>The part of a file in whole units that a range touches, as far as the file reaches.</summary>
    /// <param name="unit">A power of two, at most a gibibyte.</param>
    internal static (ulong Start, ulong End) Around(in FileStatus status, ulong offset, ulong length, ulong unit)
    {
        ulong end = RoundUp(offset + length, unit);
        return (offset & ~(unit - 1), status.Kind == FileKind.Regular ? Math.Min(end, RoundUp(status.Size, PageSize)) : end);
    }

    /// <summary>What mappings of a file are made of: its pages, which hugetlbfs names as its unit of I/O.</summary>
    internal static ulong UnitOf(in FileStatus status)
        => status.Kind == FileKind.Regular && BitOperations.IsPow2(status.BlockSize) ? Math.Clamp(status.BlockSize, PageSize, 1UL << 30) : PageSize;

    /// <summary>Gives back what a mapping took of the process's budget.</summary>
    /// <param name="budgeted">Whether it took any.</param>
    /// <param name="length">Its length in bytes.</param>
    internal static void ReturnBudget(bool budgeted, ulong length)
    {
        if (budgeted)
        {
            Interlocked.Add(ref s_mappedBytes, -(long)length);
            Interlocked.Decrement(ref s_mappings);
        }
    }

    private static ulong RoundUp(ulong value, ulong unit) => (value + unit - 1) & ~(unit - 1);

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

    private static bool CannotShrink(FileDescriptor descriptor)
    {
        if (MemFd.TryGetSeals(descriptor, out FileSeals seals) != Errno.None)
        {
            return false; // Not a memfd.
        }

        return (seals & FileSeals.Shrink) != 0 || MemFd.TryAddSeals(descriptor, FileSeals.Shrink) == Errno.None;
    }
}
