using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

public sealed class MemoryTests
{
    private static readonly nuint s_page = (nuint)Environment.SystemPageSize;

    [Fact]
    public void Seals_hold_what_they_promise()
    {
        using MemFd memory = new("seals", 8192);
        Assert.Equal(Errno.None, MemFd.TryGetSeals(memory.Descriptor, out FileSeals seals));
        Assert.Equal(FileSeals.None, seals);

        Assert.Equal(Errno.None, memory.TryAddSeals(FileSeals.Shrink | FileSeals.Seal));

        Assert.Equal(Errno.None, MemFd.TryGetSeals(memory.Descriptor, out seals));
        Assert.Equal(FileSeals.Shrink | FileSeals.Seal, seals);
        Assert.Equal(Errno.EPERM, memory.Descriptor.TrySetLength(4096));
        Assert.Equal(Errno.None, memory.Descriptor.TrySetLength(16384));
        Assert.Equal(Errno.EPERM, memory.TryAddSeals(FileSeals.Grow));
    }

    [Fact]
    public void Seals_of_an_unsealable_memfd_forbid_sealing()
    {
        using MemFd memory = new("unsealable", 4096, sealable: false);

        Assert.Equal(Errno.None, MemFd.TryGetSeals(memory.Descriptor, out FileSeals seals));
        Assert.Equal(FileSeals.Seal, seals);
        Assert.Equal(Errno.EPERM, memory.TryAddSeals(FileSeals.Shrink));
    }

    [Fact]
    public void Seals_of_a_file_without_them_are_EINVAL()
    {
        using EventFd eventFd = new();

        Assert.Equal(Errno.EINVAL, MemFd.TryGetSeals(eventFd.Descriptor, out _));
        Assert.Equal(Errno.EINVAL, MemFd.TryAddSeals(eventFd.Descriptor, FileSeals.Shrink));
    }

    [Fact]
    public unsafe void TryMap_shares_the_file()
    {
        using DescriptorLeakGuard guard = new();
        using MemFd memory = new("map", 4 * s_page);
        Assert.Equal(Errno.None, MemoryMapping.TryMap(memory.Descriptor, s_page, 2 * s_page, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        using (mapping)
        {
            Assert.Equal(2 * s_page, mapping!.Length);
            mapping.Span[0] = 0x5A;
            mapping.Slice(s_page, 4)[3] = 0xA5;
            Assert.True(mapping.Pointer != null);

            byte[] buffer = new byte[1];
            Assert.Equal(1, memory.Descriptor.ReadAt(buffer, s_page).Count);
            Assert.Equal(0x5A, buffer[0]);
            Assert.Equal(1, memory.Descriptor.ReadAt(buffer, (2 * s_page) + 3).Count);
            Assert.Equal(0xA5, buffer[0]);
        }

        Assert.Throws<ObjectDisposedException>(() => mapping.Slice(0, 1));
        Assert.Throws<ObjectDisposedException>(() => _ = mapping.Span.Length);
    }

    [Fact]
    public void TryMap_bad_arguments_are_error_numbers()
    {
        using MemFd memory = new("errors", s_page);
        using EventFd eventFd = new();

        Assert.Equal(Errno.EINVAL, MemoryMapping.TryMap(memory.Descriptor, 1, s_page, MemoryProtection.Read, out MemoryMapping? mapping));
        Assert.Null(mapping);
        Assert.Equal(Errno.EINVAL, MemoryMapping.TryMap(memory.Descriptor, 0, 0, MemoryProtection.Read, out _));
        Assert.Equal(Errno.EOVERFLOW, MemoryMapping.TryMap(memory.Descriptor, ulong.MaxValue - s_page + 1, s_page, MemoryProtection.Read, out _));
        Assert.Equal(Errno.ENODEV, MemoryMapping.TryMap(eventFd.Descriptor, 0, s_page, MemoryProtection.Read, out _));
        Assert.Equal(Errno.ENOMEM, MemoryMapping.TryMapAnonymous((nuint)1 << 60, MemoryProtection.ReadWrite, out _));
        Assert.Equal(Errno.EINVAL, MemoryMapping.TryMapAnonymous(0, MemoryProtection.ReadWrite, out _));
    }

    [Fact]
    public void Slice_outside_the_mapping_throws()
    {
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous(s_page, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        using (mapping)
        {
            int page = (int)s_page;
            Assert.Equal(0, mapping!.Slice(s_page, 0).Length);
            Assert.Throws<ArgumentOutOfRangeException>(() => mapping.Slice(s_page, 1));
            Assert.Throws<ArgumentOutOfRangeException>(() => mapping.Slice(1, page));
            Assert.Throws<ArgumentOutOfRangeException>(() => mapping.Slice(nuint.MaxValue, 1));
            Assert.Throws<ArgumentOutOfRangeException>(() => mapping.Slice(0, -1));
        }
    }

    [Fact]
    public void Span_of_a_mapping_that_is_too_long_throws()
    {
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous((nuint)1 << 32, MemoryProtection.None, out MemoryMapping? mapping));
        using (mapping)
        {
            Assert.Throws<InvalidOperationException>(() => _ = mapping!.Span.Length);
        }
    }

    [Fact]
    public unsafe void ProcessMemory_copies_both_ways()
    {
        byte[] source = [1, 2, 3, 4];
        byte[] target = new byte[4];
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous(2 * s_page, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        using (mapping)
        {
            nuint address = (nuint)mapping!.Pointer + s_page - 2;
            Assert.Equal(Errno.None, ProcessMemory.TryWrite(address, source));
            Assert.Equal(Errno.None, ProcessMemory.TryRead(address, target));
            Assert.Equal(source, target);
            Assert.Equal(Errno.None, ProcessMemory.TryRead(address, []));
        }
    }

    [Fact]
    public unsafe void ProcessMemory_bad_address_is_EFAULT()
    {
        byte[] buffer = new byte[8];
        Assert.Equal(Errno.EFAULT, ProcessMemory.TryRead(0, buffer));
        Assert.Equal(Errno.EFAULT, ProcessMemory.TryWrite(16, buffer));
        Assert.Equal(Errno.EFAULT, ProcessMemory.TryRead(nuint.MaxValue - 3, buffer));
        Assert.Equal(Errno.EFAULT, ProcessMemory.TryRead(unchecked((nuint)0xFFFF_8000_0000_0000), buffer));

        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous(s_page, MemoryProtection.None, out MemoryMapping? mapping));
        using (mapping)
        {
            Assert.Equal(Errno.EFAULT, ProcessMemory.TryRead((nuint)mapping!.Pointer, buffer));
        }
    }

    [Fact]
    public unsafe void ProcessMemory_half_mapped_range_is_EFAULT()
    {
        using MemFd memory = new("half", s_page);

        // Two pages of address space, but the file behind them has one: touching the second would be SIGBUS.
        Assert.Equal(Errno.None, MemoryMapping.TryMap(memory.Descriptor, 0, 2 * s_page, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        using (mapping)
        {
            Assert.Equal(Errno.EFAULT, ProcessMemory.TryRead((nuint)mapping!.Pointer + s_page - 4, new byte[8]));
            Assert.Equal(Errno.EFAULT, ProcessMemory.TryWrite((nuint)mapping.Pointer + s_page - 4, new byte[8]));
        }
    }

    [Fact]
    public unsafe void ProcessMemory_write_to_read_only_memory_is_EFAULT()
    {
        using MemFd memory = new("read-only", s_page);
        Assert.Equal(Errno.None, MemoryMapping.TryMap(memory.Descriptor, 0, s_page, MemoryProtection.Read, out MemoryMapping? mapping));
        using (mapping)
        {
            Assert.Equal(Errno.EFAULT, ProcessMemory.TryWrite((nuint)mapping!.Pointer, new byte[1]));
            Assert.Equal(Errno.None, ProcessMemory.TryRead((nuint)mapping.Pointer, new byte[1]));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5000)]
    [InlineData(300_000)]
    public void MappingWriter_writes_what_is_there_and_fails_behind_the_end(int length)
    {
        const int Size = 1 << 20;
        using MemFd memory = new("shrinks", Size, sealable: false);
        Assert.Equal(Errno.None, MemoryMapping.TryMap(memory.Descriptor, 0, Size, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        using (mapping)
        {
            using MappingWriter writer = new(mapping!);
            byte[] bytes = new byte[length];
            Random.Shared.NextBytes(bytes);
            Assert.Equal(Errno.None, writer.TryWrite(777, bytes));
            Assert.True(mapping!.Slice(777, length).SequenceEqual(bytes));
            Assert.Equal(Errno.None, writer.TryWrite(Size, []));
            Assert.Throws<ArgumentOutOfRangeException>(() => writer.TryWrite((nuint)(Size - length + 1), bytes));

            // The file ends in the middle of the bytes, and then before them.
            nuint end = ((nuint)length / 2 / s_page * s_page) + s_page;
            Assert.Equal(Errno.None, memory.Descriptor.TrySetLength(end));
            Assert.Equal(Errno.EFAULT, writer.TryWrite(end - 1, new byte[length + 1]));
            Assert.Equal(Errno.EFAULT, writer.TryWrite(Size / 2, bytes));
            Assert.Equal(Errno.None, writer.TryWrite(0, [1]));
            writer.Dispose();
            Assert.Throws<ObjectDisposedException>(() => writer.TryWrite(0, bytes));
        }
    }

    [Fact]
    public void MappingWriter_to_read_only_memory_is_EFAULT()
    {
        using MemFd memory = new("read-only", s_page);
        Assert.Equal(Errno.None, MemoryMapping.TryMap(memory.Descriptor, 0, s_page, MemoryProtection.Read, out MemoryMapping? mapping));
        using (mapping)
        {
            using MappingWriter writer = new(mapping!);
            Assert.Equal(Errno.EFAULT, writer.TryWrite(0, new byte[1]));
        }
    }

    [Fact]
    public void TryDiscard_leaves_zeros_in_whole_pages()
    {
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous(3 * s_page, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        using (mapping)
        {
            mapping!.Span.Fill(7);

            Assert.Equal(Errno.None, mapping.TryDiscard(s_page, s_page));

            Assert.Equal(-1, mapping.Slice(s_page, (int)s_page).IndexOfAnyExcept((byte)0));
            Assert.Equal(7, mapping.Span[(int)s_page - 1]);
            Assert.Equal(7, mapping.Span[2 * (int)s_page]);
            Assert.Equal(Errno.EINVAL, mapping.TryDiscard(1, s_page));
            Assert.Equal(Errno.EINVAL, mapping.TryDiscard(2 * s_page, 2 * s_page));
            Assert.Equal(Errno.EINVAL, mapping.TryDiscard(nuint.MaxValue, 1));
        }
    }

    /// <summary>The kernel says so of the mapping, if it has huge pages to give without being asked for each.</summary>
    [Fact]
    public unsafe void TryPreferHugePages_marks_the_mapping()
    {
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous(8 << 20, MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        using (mapping)
        {
            bool hasHugePages = File.Exists("/sys/kernel/mm/transparent_hugepage/enabled");
            Assert.Equal(hasHugePages ? Errno.None : Errno.EINVAL, mapping!.TryPreferHugePages());
            mapping.Span.Fill(7);
            Assert.Equal(-1, mapping.Span.IndexOfAnyExcept((byte)7));
            string start = $"{(ulong)mapping.Pointer:x}-";
            string flags = File.ReadLines("/proc/self/smaps").SkipWhile(line => !line.StartsWith(start, StringComparison.Ordinal)).First(static line => line.StartsWith("VmFlags:", StringComparison.Ordinal));
            Assert.Equal(hasHugePages, flags.Split(' ').Contains("hg"));
        }
    }
}
