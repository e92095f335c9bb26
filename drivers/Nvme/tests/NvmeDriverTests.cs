namespace Vfio.Drivers.Nvme.Tests;

/// <summary>
/// The driver on a controller, whichever way that is reached: the derived classes differ by the address only. It needs a namespace of 16 MiB or
/// more, whose content is lost.
/// </summary>
public abstract class NvmeDriverTests
{
    private static readonly NvmeOptions s_writable = new() { AllowWrites = true };

    [Fact]
    public async Task Open_reads_what_the_controller_and_its_namespace_are()
    {
        await using NvmeController controller = await OpenAsync(new NvmeOptions());
        Assert.Equal(NvmeControllerState.Live, controller.State);
        Assert.NotEmpty(controller.Identity.ModelNumber);
        Assert.NotEmpty(controller.Identity.SerialNumber);
        Assert.True(controller.Version >= new Version(1, 2), $"{controller.Version}");
        Assert.True(controller.QueueCount >= 1);
        Assert.Equal(PciInterrupt.Msix, controller.InterruptKind);
        NvmeNamespace disk = controller.Namespaces[0];
        Assert.Null(disk.Problem);
        Assert.True(disk.IsReadOnly);
        Assert.True(disk.BlockCount * (ulong)disk.BlockSize >= 16 << 20);
    }

    [Fact]
    public async Task Data_of_any_length_and_place_comes_back()
    {
        await using NvmeController controller = await OpenAsync(s_writable);
        NvmeNamespace disk = controller.Namespaces[0];
        using DmaBuffer there = controller.AllocateDma((3 << 20) + 4096);
        using DmaBuffer back = controller.AllocateDma((3 << 20) + 4096);
        new Random(1).NextBytes(there.Span);
        foreach ((int blocks, int offset) in ((int, int)[])[(1, 0), (1, 4), (8, 0), (8, 512), (9, 2048), (16, 0), (17, 0), (255, 1020), (256, 0), (257, 0), (1000, 4092)])
        {
            nuint length = (nuint)(blocks * disk.BlockSize);
            if (length > 3 << 20)
            {
                continue;
            }

            await disk.WriteAsync(5, there, (nuint)offset, length);
            await disk.ReadAsync(5, back, (nuint)offset, length);
            Assert.True(back.Slice((nuint)offset, (int)length).SequenceEqual(there.Slice((nuint)offset, (int)length)), $"{blocks} blocks at offset {offset}");
        }
    }

    [Theory]
    [InlineData(NvmeDataPointer.Prp)]
    [InlineData(NvmeDataPointer.Auto)]
    public async Task Any_memory_is_written_and_read(NvmeDataPointer pointer)
    {
        await using NvmeController controller = await OpenAsync(s_writable with { DataPointer = pointer });
        byte[] there = Bytes(2 << 20);
        byte[] back = new byte[there.Length];
        await controller.Namespaces[0].WriteAsync(64, there);
        await controller.Namespaces[0].ReadAsync(64, back);
        Assert.True(there.AsSpan().SequenceEqual(back));
    }

    [Theory]
    [InlineData(NvmeCompletionMode.Interrupts, null)]
    [InlineData(NvmeCompletionMode.Interrupts, PciInterrupt.Intx)]
    [InlineData(NvmeCompletionMode.Polling, null)]
    public async Task Many_operations_at_once_are_all_done(NvmeCompletionMode mode, PciInterrupt? interrupt)
    {
        await using NvmeController controller = await OpenAsync(s_writable with { Completion = mode, Interrupt = interrupt, QueueDepth = 32 });
        Assert.Equal(mode == NvmeCompletionMode.Polling ? null : interrupt ?? PciInterrupt.Msix, controller.InterruptKind);
        NvmeNamespace disk = controller.Namespaces[0];
        const int Operations = 200;
        int size = disk.BlockSize;
        using DmaBuffer buffer = controller.AllocateDma((nuint)(Operations * size));
        new Random(2).NextBytes(buffer.Span);
        byte[] expected = buffer.Span.ToArray();
        await Task.WhenAll(Enumerable.Range(0, Operations).Select(i => disk.WriteAsync((ulong)i, buffer, (nuint)(i * size), (nuint)size).AsTask()));
        buffer.Span.Clear();
        await Task.WhenAll(Enumerable.Range(0, Operations).Select(i => disk.ReadAsync((ulong)i, buffer, (nuint)(i * size), (nuint)size).AsTask()));
        Assert.True(buffer.Span.SequenceEqual(expected));
        for (int i = 0; i < 100; i++)
        {
            await disk.ReadAsync((ulong)i, buffer, 0, (nuint)size);
            Assert.True(buffer.Slice(0, size).SequenceEqual(expected.AsSpan(i * size, size)));
        }

        Assert.Equal(new NvmeStatistics(0, 0, 0, 0), controller.Statistics);
    }

    [Fact]
    public async Task Zeroes_trim_and_flush_do_what_they_say()
    {
        await using NvmeController controller = await OpenAsync(s_writable);
        NvmeNamespace disk = controller.Namespaces[0];
        byte[] data = Bytes(64 * disk.BlockSize);
        await disk.WriteAsync(100, data);
        await disk.WriteZeroesAsync(110, 20);
        await disk.FlushAsync();
        await disk.TrimAsync(200, 1000);
        byte[] back = new byte[data.Length];
        await disk.ReadAsync(100, back);
        data.AsSpan(10 * disk.BlockSize, 20 * disk.BlockSize).Clear();
        Assert.True(back.AsSpan().SequenceEqual(data));
    }

    [Fact]
    public async Task Logs_and_features_are_read()
    {
        await using NvmeController controller = await OpenAsync(new NvmeOptions());
        NvmeSmartLog smart = await controller.GetSmartLogAsync();
        Assert.InRange(smart.Temperature, 200, 400);
        Assert.All(await controller.GetErrorLogAsync(), static entry => Assert.NotEqual(0UL, entry.Count));
        Assert.True((await controller.GetFeatureAsync(NvmeFeature.NumberOfQueues) & 0xFFFF) + 1 >= controller.QueueCount);
        NvmeException refused = await Assert.ThrowsAsync<NvmeException>(() => controller.GetFeatureAsync((NvmeFeature)0x77));
        Assert.Equal((NvmeStatusType.Generic, "Invalid Field in Command"), (refused.Status!.Value.Type, refused.Status.Value.Name));
    }

    [Theory]
    [InlineData(NvmeCompletionMode.Interrupts)]
    [InlineData(NvmeCompletionMode.Polling)]
    public async Task Resets_in_the_middle_of_traffic_lose_nothing(NvmeCompletionMode mode)
    {
        await using NvmeController controller = await OpenAsync(s_writable with { QueueDepth = 16, Completion = mode, MaximumReplays = 100 });
        NvmeNamespace disk = controller.Namespaces[0];
        const int Workers = 32;
        const int Length = 16384;
        using DmaBuffer buffer = controller.AllocateDma(Workers * Length);
        using CancellationTokenSource stop = new();
        Task[] workers = [.. Enumerable.Range(0, Workers).Select(worker => Task.Run(async () =>
        {
            nuint offset = (nuint)(worker * Length);
            ulong block = (ulong)(worker * Length / disk.BlockSize);
            for (byte value = 1; !stop.IsCancellationRequested; value++)
            {
                buffer.Slice(offset, Length).Fill(value);
                await disk.WriteAsync(block, buffer, offset, Length);
                buffer.Slice(offset, Length).Clear();
                await disk.ReadAsync(block, buffer, offset, Length);
                Assert.False(buffer.Slice(offset, Length).ContainsAnyExcept(value));
            }
        }))];
        for (int i = 0; i < 3; i++)
        {
            await Task.Delay(20, TestContext.Current.CancellationToken);
            await controller.ResetAsync();
        }

        await stop.CancelAsync();
        await Task.WhenAll(workers).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.Equal((3, 0), (controller.Statistics.Resets, controller.Statistics.Aborts));
    }

    [Fact]
    public async Task What_was_written_is_there_for_the_next()
    {
        byte[] data = Bytes(8192);
        for (int i = 0; i < 3; i++)
        {
            await using NvmeController controller = await OpenAsync(s_writable with { QueueCount = i + 1 });
            if (i == 0)
            {
                await controller.Namespaces[0].WriteAsync(1000, data);
                continue;
            }

            byte[] back = new byte[data.Length];
            await controller.Namespaces[0].ReadAsync(1000, back);
            Assert.Equal(data, back);
        }
    }

    /// <summary>Connects to the controller under test.</summary>
    protected abstract ValueTask<VfioConnection> ConnectAsync();

    private static byte[] Bytes(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private async Task<NvmeController> OpenAsync(NvmeOptions options) => await NvmeController.OpenAsync(await ConnectAsync(), options, TestContext.Current.CancellationToken);
}
