using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

public sealed class LeakGuardTests
{
    [Fact]
    public void Dispose_finds_a_leaked_descriptor()
    {
        DescriptorLeakGuard guard = new(TimeSpan.Zero);
        using MemFd leaked = new("leaked", 0);

        DescriptorLeakException exception = Assert.Throws<DescriptorLeakException>(guard.Dispose);

        Assert.Contains("memfd:leaked", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Dispose_finds_a_leaked_mapping()
    {
        DescriptorLeakGuard guard = new(TimeSpan.Zero);
        MemoryMapping? mapping;
        using (MemFd memory = new("mapped", 4096))
        {
            Assert.Equal(Errno.None, MemoryMapping.TryMap(memory.Descriptor, 0, 4096, MemoryProtection.Read, out mapping));
        }

        using (mapping)
        {
            DescriptorLeakException exception = Assert.Throws<DescriptorLeakException>(guard.Dispose);
            Assert.Contains("1 mapping(s)", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void AllocationMeter_sees_an_allocation() =>
        Assert.True(AllocationMeter.Measure(() => GC.KeepAlive(new byte[100]), iterations: 10) >= 10 * 100);
}
