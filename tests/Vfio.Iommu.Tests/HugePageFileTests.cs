using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

/// <summary>
/// Files of huge pages that their owner may shrink: they have no <c>write(2)</c>, and must not be touched. <c>./check</c> asks the system for some pages; where it gives none,
/// mapping is what fails, and that is tested.
/// </summary>
[Collection(nameof(DescriptorMemory))]
public sealed class HugePageFileTests
{
    private const ulong HugePage = 2 << 20;

    [Theory]
    [InlineData(false, DescriptorMemoryPolicy.Safe)]
    [InlineData(true, DescriptorMemoryPolicy.Safe)]
    [InlineData(true, DescriptorMemoryPolicy.NeverMap)]
    public void File_is_read_and_written_and_may_shrink(bool isPooled, DescriptorMemoryPolicy policy)
    {
        using MemFd memory = Create(2 * HugePage);
        using var pool = new DescriptorMemoryPool(policy, 10);
        using FileDescriptor descriptor = memory.Descriptor.Duplicate();
        Assert.True(descriptor.IsOfHugePages());
        Assert.Equal(Errno.EINVAL, descriptor.WriteAt([1], 0).Error);
        Errno error = isPooled
            ? pool.TryCreate(descriptor, P, (2 * HugePage) - P, DmaAccess.ReadWrite, mayMap: true, out MemorySource? source)
            : DescriptorMemory.TryCreate(descriptor, P, (2 * HugePage) - P, DmaAccess.ReadWrite, policy, out source);
        if (!CanMap(memory))
        {
            // The mapping is told at once, and nothing is kept.
            Assert.Equal(Errno.ENOMEM, error);
            Assert.False(descriptor.IsClosed);
            return;
        }

        Assert.Equal(Errno.None, error);
        Assert.Equal(("descriptor", 0), (source!.Kind, source.GetPointer(0)));
        byte[] bytes = new byte[200_000];
        Random.Shared.NextBytes(bytes);
        byte[] read = new byte[bytes.Length];
        Assert.Equal(Errno.None, source.Write(HugePage - 100_000, bytes));
        Assert.Equal(Errno.None, source.Read(HugePage - 100_000, read));
        Assert.Equal(bytes, read);
        Assert.Equal(bytes[..100], ReadFile(memory, P + HugePage - 100_000, 100));

        Assert.Equal(Errno.None, memory.Descriptor.TrySetLength(HugePage));
        Assert.Equal(Errno.EFAULT, source.Write(HugePage, bytes));
        Assert.Equal(Errno.EFAULT, source.Read(HugePage, read));
        Assert.Equal(Errno.EFAULT, source.Write(HugePage - P - 5, bytes));
        Assert.Equal(Errno.None, source.Write(0, bytes));
        source.RemoveReference();
        Assert.Equal((0, 0), (pool.MappingCount, pool.DescriptorCount));
    }

    [Fact]
    public void File_that_is_only_read_needs_no_mapping()
    {
        using MemFd memory = Create(HugePage);
        using var pool = new DescriptorMemoryPool(DescriptorMemoryPolicy.Safe, 0);
        FileDescriptor descriptor = memory.Descriptor.Duplicate();
        Assert.Equal(Errno.None, pool.TryCreate(descriptor, 0, HugePage, DmaAccess.Read, mayMap: true, out MemorySource? source));
        Assert.Equal((1, 0), (pool.DescriptorCount, pool.MappingCount));
        Assert.Equal(Errno.None, source!.Read(0, new byte[8]));
        source.RemoveReference();

        // One that is written needs one, and there is none left.
        using FileDescriptor again = memory.Descriptor.Duplicate();
        Assert.Equal(Errno.ENOSPC, pool.TryCreate(again, 0, HugePage, DmaAccess.ReadWrite, mayMap: true, out _));
        Assert.False(again.IsClosed);
    }

    /// <summary>A file of huge pages that nobody can seal any more.</summary>
    private static MemFd Create(ulong length)
    {
        Assert.Equal(Errno.None, MemFd.TryCreate("huge", length, hugePages: true, out MemFd? memory));
        Assert.Equal(Errno.None, memory!.TryAddSeals(FileSeals.Seal));
        return memory;
    }

    private static bool CanMap(MemFd memory)
    {
        Errno error = MemoryMapping.TryMap(memory.Descriptor, 0, (nuint)memory.Size, MemoryProtection.ReadWrite, out MemoryMapping? mapping);
        mapping?.Dispose();
        return error == Errno.None;
    }

    private static byte[] ReadFile(MemFd memory, ulong offset, int length)
    {
        byte[] bytes = new byte[length];
        Assert.Equal(length, memory.Descriptor.ReadAt(bytes, offset).Count);
        return bytes;
    }
}
