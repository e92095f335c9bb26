using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

// The process's budget is one for all.
[Collection(nameof(DescriptorMemory))]
public sealed class DescriptorMemoryPoolTests
{
    private const ulong Gibi = 1UL << 30;

    [Fact]
    public void TryCreate_parts_of_one_file_share_a_mapping()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 100);
        using MemFd memory = new("pool", 3 * Gibi);
        MemorySource first = Create(pool, memory.Descriptor, 5 * P, P);
        MemorySource second = Create(pool, memory.Descriptor, (7 * P) + 5, 100);
        Assert.Equal(("mapped", "mapped", 1, 0), (first.Kind, second.Kind, pool.MappingCount, pool.DescriptorCount));
        Assert.Equal(Errno.None, first.Write(0, [1, 2, 3]));
        Assert.Equal(Errno.None, second.Write(0, [4, 5, 6]));
        Assert.Equal([1, 2, 3], ReadFile(memory, 5 * P));
        Assert.Equal([4, 5, 6], ReadFile(memory, (7 * P) + 5));

        // The mapping stays with either of them.
        first.RemoveReference();
        Assert.Equal(1, pool.MappingCount);
        Assert.Equal([4, 5, 6], ReadSource(second));
        second.RemoveReference();
        Assert.Equal(0, pool.MappingCount);
    }

    [Fact]
    public void Descriptor_of_a_file_that_is_mapped_goes_to_whoever_closes_it_later()
    {
        List<FileDescriptor> spent = [];
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 1) { Spent = spent.Add };
        using MemFd memory = new("pool-spent", P);
        using MemFd other = new("pool-spent", P);
        MemorySource mapped = Create(pool, memory.Descriptor, 0, P);
        FileDescriptor descriptor = Assert.Single(spent);
        Assert.False(descriptor.IsClosed);
        descriptor.Dispose();
        Assert.Equal(Errno.None, mapped.Write(0, [1, 2, 3]));

        // One that is needed is the pool's.
        MemorySource byDescriptor = Create(pool, other.Descriptor, 0, P);
        Assert.Equal("descriptor", byDescriptor.Kind);
        Assert.Single(spent);
        byDescriptor.RemoveReference();
        mapped.RemoveReference();
    }

    [Fact]
    public void Mapping_that_was_used_last_stays_until_another_is_the_last_or_it_is_trimmed()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 1);
        using MemFd memory = new("pool-spare", P);
        using MemFd other = new("pool-spare", P);
        Create(pool, memory.Descriptor, 0, P).RemoveReference();
        Assert.Equal((0, 1), (pool.MappingCount, CountMapped()));
        MemorySource again = Create(pool, memory.Descriptor, 0, P);
        Assert.Equal((1, 1, "mapped"), (pool.MappingCount, CountMapped(), again.Kind));
        Assert.Equal(Errno.None, again.Write(0, [1, 2, 3]));
        Assert.Equal([1, 2, 3], ReadFile(memory, 0));

        // The limit is for what is used, so another takes its turn, and its place.
        again.RemoveReference();
        MemorySource second = Create(pool, other.Descriptor, 0, P);
        Assert.Equal((1, 2, "mapped"), (pool.MappingCount, CountMapped(), second.Kind));
        Assert.Equal("descriptor", Kind(Create(pool, memory.Descriptor, 0, P)));
        second.RemoveReference();
        Assert.Equal(1, CountMapped());
        pool.Trim();
        Assert.Equal(0, CountMapped());

        // After the end nothing stays.
        MemorySource last = Create(pool, other.Descriptor, 0, P);
        pool.Dispose();
        Assert.Equal(Errno.None, last.Write(0, [4]));
        last.RemoveReference();
        Assert.Equal(0, CountMapped());

        static int CountMapped() => File.ReadLines("/proc/self/maps").Count(static line => line.Contains("pool-spare", StringComparison.Ordinal));

        static string Kind(MemorySource source)
        {
            source.RemoveReference();
            return source.Kind;
        }
    }

    [Fact]
    public void TryCreate_other_gibibytes_files_and_rights_have_mappings_of_their_own()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 100);
        using MemFd memory = new("pool", 3 * Gibi);
        using MemFd other = new("pool", P);
        MemorySource[] sources =
        [
            Create(pool, memory.Descriptor, 0, P),
            Create(pool, memory.Descriptor, Gibi, P),
            Create(pool, memory.Descriptor, Gibi - P, 2 * P),
            Create(pool, memory.Descriptor, 0, P, DmaAccess.Read),
            Create(pool, other.Descriptor, 0, P),
        ];
        Assert.Equal(5, pool.MappingCount);
        MemorySource again = Create(pool, memory.Descriptor, Gibi - 1, 2);
        Assert.Equal(5, pool.MappingCount);
        Assert.Equal([true, true, true, false, true], sources.Select(static source => source.IsWritable));
        again.RemoveReference();
        Array.ForEach(sources, static source => source.RemoveReference());
        Assert.Equal(0, pool.MappingCount);
    }

    [Fact]
    public void TryCreate_writes_need_a_descriptor_that_allows_them_even_where_the_file_is_mapped_for_writing()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 100);
        using MemFd memory = new("pool", 4 * P);
        MemorySource writable = Create(pool, memory.Descriptor, 0, P);
        Assert.Equal(Errno.None, FileDescriptor.TryOpen($"/proc/self/fd/{memory.Descriptor.Number}", OpenMode.ReadOnly, out FileDescriptor? readOnly));
        using (readOnly)
        {
            Assert.Equal(Errno.EACCES, pool.TryCreate(readOnly!, 0, P, DmaAccess.ReadWrite, mayMap: true, out _));
            MemorySource read = Create(pool, readOnly!, 0, P, DmaAccess.Read);
            Assert.Equal(("mapped", false, 2), (read.Kind, read.IsWritable, pool.MappingCount));
            read.RemoveReference();
        }

        writable.RemoveReference();
    }

    [Fact]
    public void TryCreate_file_that_grew_is_mapped_again_and_earlier_parts_stay()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 100);
        using MemFd memory = new("pool", P);
        MemorySource small = Create(pool, memory.Descriptor, 0, P);
        using FileDescriptor descriptor = memory.Descriptor.Duplicate();
        Assert.Equal(Errno.EINVAL, pool.TryCreate(descriptor, P, P, DmaAccess.ReadWrite, mayMap: true, out _));
        Assert.Equal(Errno.None, memory.Descriptor.TrySetLength(3 * P));
        MemorySource large = Create(pool, memory.Descriptor, 2 * P, P);
        MemorySource both = Create(pool, memory.Descriptor, 0, 3 * P);
        Assert.Equal(2, pool.MappingCount);
        Assert.Equal(Errno.None, small.Write(0, [7, 7, 7]));
        Assert.Equal([7, 7, 7], ReadSource(both));

        // The older one's end does not take the newer one away.
        small.RemoveReference();
        Assert.Equal(1, pool.MappingCount);
        MemorySource again = Create(pool, memory.Descriptor, P, P);
        Assert.Equal(1, pool.MappingCount);
        foreach (MemorySource source in new[] { large, both, again })
        {
            source.RemoveReference();
        }

        Assert.Equal(0, pool.MappingCount);
    }

    [Fact]
    public void TryCreate_file_that_grows_with_every_part_uses_up_its_own_limit_only()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 3);
        using MemFd memory = new("pool", P);
        List<MemorySource> sources = [];
        for (ulong i = 0; i < 8; i++)
        {
            Assert.Equal(Errno.None, memory.Descriptor.TrySetLength((i + 1) * P));
            sources.Add(Create(pool, memory.Descriptor, i * P, P));
        }

        Assert.Equal((3, 1), (pool.MappingCount, pool.DescriptorCount));
        Assert.All(sources, static source => Assert.Equal(Errno.None, source.Write(P - 1, [1])));
        sources.ForEach(static source => source.RemoveReference());
        Assert.Equal((0, 0), (pool.MappingCount, pool.DescriptorCount));
    }

    [Fact]
    public void TryCreate_beyond_the_limit_of_mappings_shares_descriptors()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 1);
        using MemFd memory = new("pool", 3 * Gibi);
        MemorySource mapped = Create(pool, memory.Descriptor, 0, P);
        MemorySource[] beyond = [.. Enumerable.Range(0, 10).Select(i => Create(pool, memory.Descriptor, Gibi + ((ulong)i * P), P))];
        Assert.All(beyond, static source => Assert.Equal("descriptor", source.Kind));
        Assert.Equal((1, 1), (pool.MappingCount, pool.DescriptorCount));
        Assert.Equal(Errno.None, beyond[9].Write(1, [1, 2, 3]));
        Assert.Equal([1, 2, 3], ReadFile(memory, Gibi + (9 * P) + 1));
        Array.ForEach(beyond[1..], static source => source.RemoveReference());
        Assert.Equal(Errno.None, beyond[0].Read(0, new byte[4]));
        beyond[0].RemoveReference();
        mapped.RemoveReference();
        Assert.Equal((0, 0), (pool.MappingCount, pool.DescriptorCount));
        mapped = Create(pool, memory.Descriptor, Gibi, P);
        Assert.Equal("mapped", mapped.Kind);
        mapped.RemoveReference();
    }

    [Fact]
    public void TryCreate_descriptors_that_are_open_in_another_way_are_not_shared()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.NeverMap, 1);
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[P]);
            List<MemorySource> sources = [];
            foreach (OpenMode mode in new[] { OpenMode.ReadWrite, OpenMode.ReadOnly, OpenMode.ReadWrite | OpenMode.Append, OpenMode.ReadWrite })
            {
                Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, mode, out FileDescriptor? file));
                Assert.Equal(Errno.None, pool.TryCreate(file!, 0, P, DmaAccess.Read, mayMap: true, out MemorySource? source));
                sources.Add(source!);
            }

            Assert.Equal((0, 3), (pool.MappingCount, pool.DescriptorCount));
            sources.ForEach(static source => source.RemoveReference());
            Assert.Equal(0, pool.DescriptorCount);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void TryCreate_file_that_can_shrink_is_not_mapped_and_the_limit_is_not_used()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 1);
        using MemFd shrinking = new("pool", 4 * P, sealable: false);
        MemorySource one = Create(pool, shrinking.Descriptor, 0, P);
        MemorySource two = Create(pool, shrinking.Descriptor, P, P);
        Assert.Equal(("descriptor", "descriptor", 0, 1), (one.Kind, two.Kind, pool.MappingCount, pool.DescriptorCount));
        Assert.Equal(Errno.None, shrinking.Descriptor.TrySetLength(P));
        Assert.Equal((Errno.None, Errno.EFAULT), (one.Read(0, new byte[4]), two.Read(0, new byte[4])));
        one.RemoveReference();
        two.RemoveReference();
    }

    [Fact]
    public void TryCreate_what_is_counted_is_what_is_mapped()
    {
        const ulong Tebi = 1UL << 40;
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 100);
        List<MemorySource> sources = [];
        List<MemFd> files = [];
        for (int i = 0; i < 4; i++)
        {
            // Two windows of each file: all of it but the last page, and all of it.
            MemFd file = new("pool", (4 * Tebi) + Gibi + P);
            files.Add(file);
            sources.Add(Create(pool, file.Descriptor, P, 4 * Tebi));
            sources.Add(Create(pool, file.Descriptor, P, (4 * Tebi) + Gibi));
        }

        Assert.Equal("descriptor", sources[^1].Kind);
        Assert.Equal(7, sources.Count(static source => source.Kind == "mapped"));
        Assert.Equal((7, 1), (pool.MappingCount, pool.DescriptorCount));
        sources.ForEach(static source => source.RemoveReference());
        MemorySource again = Create(pool, files[0].Descriptor, 0, 4 * Tebi);
        Assert.Equal("mapped", again.Kind);
        again.RemoveReference();
        files.ForEach(static file => file.Dispose());
    }

    [Fact]
    public async Task TryCreate_from_several_threads_leaves_nothing()
    {
        using DescriptorMemoryPool pool = new(DescriptorMemoryPolicy.Safe, 3);
        using MemFd memory = new("pool", 8 * Gibi);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(() =>
        {
            Random random = new(thread);
            List<MemorySource> live = [];
            byte[] bytes = new byte[8];
            for (int i = 0; i < 2000; i++)
            {
                if (live.Count > 20 || (live.Count > 0 && random.Next(2) == 0))
                {
                    int index = random.Next(live.Count);
                    Assert.Equal(Errno.None, live[index].Read(8, bytes));
                    live[index].RemoveReference();
                    live.RemoveAt(index);
                }
                else
                {
                    live.Add(Create(pool, memory.Descriptor, (ulong)random.Next(8) * (Gibi - P), 2 * P));
                }
            }

            live.ForEach(static source => source.RemoveReference());
        })));
        Assert.Equal((0, 0), (pool.MappingCount, pool.DescriptorCount));
    }

    private static MemorySource Create(DescriptorMemoryPool pool, FileDescriptor file, ulong offset, ulong length, DmaAccess access = DmaAccess.ReadWrite)
    {
        FileDescriptor descriptor = file.Duplicate();
        Assert.Equal(Errno.None, pool.TryCreate(descriptor, offset, length, access, mayMap: true, out MemorySource? source));
        return source!;
    }

    private static byte[] ReadSource(MemorySource source)
    {
        byte[] bytes = new byte[3];
        Assert.Equal(Errno.None, source.Read(0, bytes));
        return bytes;
    }

    private static byte[] ReadFile(MemFd file, ulong offset)
    {
        byte[] bytes = new byte[3];
        Assert.Equal(3, file.Descriptor.ReadAt(bytes, offset).Count);
        return bytes;
    }
}
