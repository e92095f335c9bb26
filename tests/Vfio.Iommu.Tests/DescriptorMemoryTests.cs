using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

[Collection(nameof(DescriptorMemory))]
public sealed class DescriptorMemoryTests
{
    [Fact]
    public void TryCreate_sealable_memfd_is_sealed_and_mapped()
    {
        using MemFd memory = new("test", 4 * P);
        MemorySource source = Create(memory, 0, 4 * P, DescriptorMemoryPolicy.Safe);
        Assert.Equal("mapped", source.Kind);
        Assert.Equal(Errno.EPERM, memory.Descriptor.TrySetLength(P));
        RoundTrip(source);
        source.RemoveReference();
    }

    [Fact]
    public void TryCreate_memfd_that_cannot_be_sealed_goes_by_descriptor_and_survives_a_truncation()
    {
        using MemFd memory = new("test", 4 * P, sealable: false);
        MemorySource source = Create(memory, 0, 4 * P, DescriptorMemoryPolicy.Safe);
        Assert.Equal("descriptor", source.Kind);
        RoundTrip(source);
        Assert.Equal(Errno.None, memory.Descriptor.TrySetLength(P));
        Assert.Equal(Errno.EFAULT, source.Read(2 * P, new byte[8]));
        Assert.Equal(Errno.None, source.Read(0, new byte[8]));
        source.RemoveReference();
    }

    [Fact]
    public void TryCreate_beyond_the_share_of_the_address_space_goes_by_descriptor()
    {
        const ulong Tebi = 1UL << 40;
        using MemFd memory = new("test", 8 * Tebi);
        List<MemorySource> sources = [];
        foreach (ulong length in new[] { 8 * Tebi, 8 * Tebi, 8 * Tebi, 7 * Tebi })
        {
            sources.Add(Create(memory, 0, length, DescriptorMemoryPolicy.Safe));
        }

        Assert.All(sources, static source => Assert.Equal("mapped", source.Kind));
        MemorySource beyond = Create(memory, 0, 8 * Tebi, DescriptorMemoryPolicy.Safe);
        Assert.Equal("descriptor", beyond.Kind);
        RoundTrip(beyond);
        beyond.RemoveReference();
        sources.ForEach(static source => source.RemoveReference());
        MemorySource again = Create(memory, 0, 8 * Tebi, DescriptorMemoryPolicy.Safe);
        Assert.Equal("mapped", again.Kind);
        again.RemoveReference();
    }

    [Fact]
    public void TryCreate_devices_whose_reads_may_wait_are_refused()
    {
        foreach ((string path, Errno expected) in new[] { ("/dev/zero", Errno.None), ("/dev/ptmx", Errno.EINVAL) })
        {
            Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, OpenMode.ReadWrite | OpenMode.NoControllingTerminal, out FileDescriptor? device));
            using (device)
            {
                Assert.False(device!.IsServedByProcess());
                Assert.Equal(expected, DescriptorMemory.TryCreate(device, 0, P, DmaAccess.Read, DescriptorMemoryPolicy.Safe, out MemorySource? source));
                source?.RemoveReference();
            }
        }
    }

    [Fact]
    public void TryCreate_unaligned_offset_is_honoured()
    {
        using MemFd memory = new("test", 4 * P);
        Assert.Equal(3, memory.Descriptor.WriteAt([1, 2, 3], P + 5).Count);
        foreach (DescriptorMemoryPolicy policy in Enum.GetValues<DescriptorMemoryPolicy>())
        {
            MemorySource source = Create(memory, P + 5, 100, policy);
            byte[] read = new byte[3];
            Assert.Equal(Errno.None, source.Read(0, read));
            Assert.Equal([1, 2, 3], read);
            source.RemoveReference();
        }
    }

    [Theory]
    [InlineData(0ul, 0ul)]
    [InlineData(0ul, 5 * 4096ul)]
    [InlineData(4096ul, 4 * 4096ul)]
    [InlineData(ulong.MaxValue, 4096ul)]
    [InlineData(4096ul, ulong.MaxValue)]
    public void TryCreate_impossible_ranges_are_EINVAL(ulong offset, ulong length)
    {
        using MemFd memory = new("test", 4 * P);
        using FileDescriptor descriptor = memory.Descriptor.Duplicate();
        Assert.Equal(Errno.EINVAL, DescriptorMemory.TryCreate(descriptor, offset, length, DmaAccess.Read, DescriptorMemoryPolicy.Safe, out _));
        Assert.False(descriptor.IsClosed);
    }

    [Fact]
    public void TryCreate_other_kinds_of_descriptor_are_EINVAL()
    {
        using EventFd eventFd = new();
        Assert.Equal(Errno.EINVAL, DescriptorMemory.TryCreate(eventFd.Descriptor, 0, P, DmaAccess.Read, DescriptorMemoryPolicy.Safe, out _));
        Assert.Equal(Errno.None, FileDescriptor.TryOpen("/tmp", OpenMode.ReadOnly, out FileDescriptor? folder));
        Assert.Equal(Errno.EINVAL, DescriptorMemory.TryCreate(folder!, 0, P, DmaAccess.Read, DescriptorMemoryPolicy.Safe, out _));
        folder!.Dispose();
    }

    private static MemorySource Create(MemFd memory, ulong offset, ulong length, DescriptorMemoryPolicy policy)
    {
        FileDescriptor descriptor = memory.Descriptor.Duplicate();
        Assert.Equal(Errno.None, DescriptorMemory.TryCreate(descriptor, offset, length, DmaAccess.ReadWrite, policy, out MemorySource? source));
        return source!;
    }

    private static void RoundTrip(MemorySource source)
    {
        byte[] data = [9, 8, 7, 6];
        Assert.Equal(Errno.None, source.Write(P + 1, data));
        byte[] read = new byte[4];
        Assert.Equal(Errno.None, source.Read(P + 1, read));
        Assert.Equal(data, read);
    }
}
