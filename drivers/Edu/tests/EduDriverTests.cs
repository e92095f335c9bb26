namespace Vfio.Drivers.Edu.Tests;

/// <summary>The driver on an edu, whichever way that is reached: the derived classes differ by the address only.</summary>
public abstract class EduDriverTests
{
    [Fact]
    public async Task Open_edu_reads_its_version()
    {
        await using EduDriver driver = await OpenAsync();
        Assert.Equal(new Version(1, 0), driver.Version);
        Assert.Equal(PciInterrupt.Msi, driver.InterruptKind);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(uint.MaxValue)]
    [InlineData(0x12345678u)]
    public async Task CheckLiveness_any_pattern_is_inverted(uint pattern)
    {
        await using EduDriver driver = await OpenAsync();
        Assert.True(driver.CheckLiveness(pattern));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(PciInterrupt.Intx)]
    public async Task ComputeFactorial_by_interrupt_is_right(PciInterrupt? interrupt)
    {
        await using EduDriver driver = await OpenAsync(interrupt);
        Assert.Equal(3628800u, await driver.ComputeFactorialAsync(10, TestContext.Current.CancellationToken));
        Assert.Equal(120u, await driver.ComputeFactorialAsync(5, TestContext.Current.CancellationToken));
        Assert.Equal(1u, await driver.ComputeFactorialAsync(0, TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(PciInterrupt.Intx)]
    public async Task RaiseInterrupt_many_times_none_is_lost(PciInterrupt? interrupt)
    {
        await using EduDriver driver = await OpenAsync(interrupt);
        for (uint i = 1; i <= 200; i++)
        {
            Assert.Equal(i, await driver.RaiseInterruptAsync(i, TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public async Task Copy_there_and_back_keeps_the_bytes()
    {
        await using EduDriver driver = await OpenAsync();
        using DmaBuffer there = driver.AllocateDma(4096);
        using DmaBuffer back = driver.AllocateDma(4096);
        Random.Shared.NextBytes(there.Span);
        await driver.CopyToDeviceAsync(there, 4096, TestContext.Current.CancellationToken);
        await driver.CopyFromDeviceAsync(back, 4096, TestContext.Current.CancellationToken);
        Assert.True(there.Span.SequenceEqual(back.Span));
    }

    [Fact]
    public async Task Copy_to_an_address_that_is_not_mapped_any_more_leaves_the_memory_alone()
    {
        const ulong Address = 0x20_0000;
        await using EduDriver driver = await OpenAsync();
        using DmaMemory memory = DmaMemory.Allocate(4096);
        memory.Span.Fill(0x11);
        DmaMapping mapping = driver.MapPage(memory, 0, Address);
        await driver.CopyToDeviceAsync(Address, 4096, TestContext.Current.CancellationToken);
        memory.Span.Fill(0x22);
        mapping.Dispose();
        await driver.CopyFromDeviceAsync(Address, 4096, TestContext.Current.CancellationToken);
        Assert.Equal(-1, memory.Span.IndexOfAnyExcept((byte)0x22));

        // A read of nothing is over as well; the device goes on, and the address can be used again.
        await driver.CopyToDeviceAsync(Address, 4096, TestContext.Current.CancellationToken);
        using DmaMapping again = driver.MapPage(memory, 0, Address);
        await driver.CopyToDeviceAsync(Address, 4096, TestContext.Current.CancellationToken);
        memory.Span.Clear();
        await driver.CopyFromDeviceAsync(Address, 4096, TestContext.Current.CancellationToken);
        Assert.Equal(-1, memory.Span.IndexOfAnyExcept((byte)0x22));
    }

    [Fact]
    public async Task Copy_through_thousands_of_small_mappings_finds_each()
    {
        const int Count = 2000;
        const int Sample = 20;
        await using EduDriver driver = await OpenAsync();
        using DmaMemory memory = DmaMemory.Allocate(Count * 4096);
        for (int i = 0; i < Count; i++)
        {
            BitConverter.TryWriteBytes(memory.Slice((nuint)i * 4096, 4), i);
        }

        // Every other page, so that no two are neighbours, in an order that no allocator has.
        int[] order = [.. Enumerable.Range(0, Count).Select(static i => i * 977 % Count)];
        DmaMapping[] mappings = [.. order.Select(i => driver.MapPage(memory, (nuint)i * 4096, 0x100_0000 + ((ulong)i * 8192)))];
        using DmaBuffer result = driver.AllocateDma(4096);
        for (int i = 0; i < Sample; i++)
        {
            int page = order[i * (Count / Sample)];
            await driver.CopyToDeviceAsync(0x100_0000 + ((ulong)page * 8192), 4096, TestContext.Current.CancellationToken);
            await driver.CopyFromDeviceAsync(result, 4096, TestContext.Current.CancellationToken);
            Assert.Equal(page, BitConverter.ToInt32(result.Span));
        }

        foreach (DmaMapping mapping in mappings)
        {
            mapping.Dispose();
        }
    }

    [Fact]
    public async Task Open_again_after_dispose_works()
    {
        for (int i = 0; i < 5; i++)
        {
            await using EduDriver driver = await OpenAsync();
            Assert.Equal(24u, await driver.ComputeFactorialAsync(4, TestContext.Current.CancellationToken));
        }
    }

    /// <summary>Connects to the device under test.</summary>
    protected abstract ValueTask<VfioConnection> ConnectAsync();

    private async Task<EduDriver> OpenAsync(PciInterrupt? interrupt = null) => EduDriver.Open(await ConnectAsync(), interrupt);
}
