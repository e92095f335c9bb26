using Vfio.Abi;

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>Reading and writing, split, described and bounced in every way.</summary>
public sealed class TransferTests
{
    private static readonly NvmeOptions s_writable = new() { AllowWrites = true, QueueCount = 2 };

    [Theory]
    [InlineData(512, 0)]
    [InlineData(4096, 0)]
    [InlineData(4096, 512)]
    [InlineData(8192, 4)]
    [InlineData(131072, 0)]
    [InlineData(131072, 4092)]
    [InlineData(131072 + 512, 8)]
    [InlineData(1 << 20, 2048)]
    public async Task Data_of_any_length_and_place_comes_back(int length, int offset)
    {
        foreach (NvmeDataPointer pointer in (NvmeDataPointer[])[NvmeDataPointer.Prp, NvmeDataPointer.Sgl, NvmeDataPointer.Auto])
        {
            await using FakePair pair = await FakePair.OpenAsync(s_writable with { DataPointer = pointer }, static device => device.ControllerPage[536] = 1);
            using DmaBuffer there = pair.Controller.AllocateDma((nuint)(length + 4096));
            using DmaBuffer back = pair.Controller.AllocateDma((nuint)(length + 4096));
            new Random(length).NextBytes(there.Span);
            await pair.Namespace.WriteAsync(7, there, (nuint)offset, (nuint)length);
            Assert.True(pair.Device.Storage.AsSpan(7 * 512, length).SequenceEqual(there.Slice((nuint)offset, length)));
            await pair.Namespace.ReadAsync(7, back, (nuint)offset, (nuint)length);
            Assert.True(back.Slice((nuint)offset, length).SequenceEqual(there.Slice((nuint)offset, length)));
            Assert.False(back.Slice(0, offset).ContainsAnyExcept((byte)0));
            Assert.False(back.Slice((nuint)(offset + length), 4096 - offset).ContainsAnyExcept((byte)0));
            int largest = Math.Min(length, 131072);
            Assert.Equal(pointer == NvmeDataPointer.Sgl || (pointer == NvmeDataPointer.Auto && largest > 8192), pair.Device.SglCommands > 0);
        }
    }

    [Fact]
    public async Task Sgl_that_the_controller_does_not_take_is_refused()
    {
        VfioException exception = await Assert.ThrowsAsync<VfioException>(() => FakePair.OpenAsync(new NvmeOptions { DataPointer = NvmeDataPointer.Sgl }));
        Assert.Contains("SGLS", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Long_transfer_is_split_at_the_limit()
    {
        List<(uint Block, uint Count)> commands = [];
        await using FakePair pair = await FakePair.OpenAsync(s_writable, device =>
        {
            device.ControllerPage[77] = 3;
            device.Hook = (int queue, ref SubmissionEntry command, ref FakeCompletion _) =>
            {
                if (queue != 0)
                {
                    commands.Add((command.Dword10, command.Dword12 + 1));
                }

                return true;
            };
        });
        using DmaBuffer buffer = pair.Controller.AllocateDma(100 << 10);
        await pair.Namespace.ReadAsync(1, buffer, 0, 100 << 10);
        Assert.Equal([(1u, 64u), (65u, 64u), (129u, 64u), (193u, 8u)], commands.Order().ToArray());
    }

    [Fact]
    public async Task Any_memory_goes_by_the_bounce_buffers()
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable);
        byte[] there = new byte[3 << 20];
        byte[] back = new byte[there.Length];
        Random.Shared.NextBytes(there);
        await pair.Namespace.WriteAsync(11, there);
        await pair.Namespace.ReadAsync(11, back);
        Assert.True(there.AsSpan().SequenceEqual(back));
        await Task.WhenAll(Enumerable.Range(0, 32).Select(async i => await pair.Namespace.ReadAsync((ulong)i, back.AsMemory(i * 512, 512))));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(17)]
    [InlineData(256)]
    public async Task More_operations_than_entries_wait_their_turn(int depth)
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable with { QueueDepth = depth });
        using DmaBuffer buffer = pair.Controller.AllocateDma(2000 * 512);
        new Random(depth).NextBytes(buffer.Span);
        byte[] expected = buffer.Span.ToArray();
        await Task.WhenAll(Enumerable.Range(0, 2000).Select(i => pair.Namespace.WriteAsync((ulong)i, buffer, (nuint)(i * 512), 512).AsTask()));
        Assert.True(pair.Device.Storage.AsSpan(0, expected.Length).SequenceEqual(expected));
        buffer.Span.Clear();
        await Task.WhenAll(Enumerable.Range(0, 2000).Select(i => pair.Namespace.ReadAsync((ulong)i, buffer, (nuint)(i * 512), 512).AsTask()));
        Assert.True(buffer.Span[..expected.Length].SequenceEqual(expected));
        Assert.InRange(pair.Device.MostAtOnce, 1, int.MaxValue);
    }

    [Fact]
    public async Task Operations_from_many_threads_do_not_disturb_each_other()
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable with { QueueDepth = 8 });
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            byte[] there = new byte[4096];
            byte[] back = new byte[4096];
            Random random = new(worker);
            for (int i = 0; i < 200; i++)
            {
                random.NextBytes(there);
                ulong block = (ulong)((worker * 1000) + random.Next(900));
                await pair.Namespace.WriteAsync(block, there);
                await pair.Namespace.ReadAsync(block, back);
                Assert.True(there.AsSpan().SequenceEqual(back));
            }
        })));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Doorbells_in_memory_save_writes_of_registers(bool use)
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable with { QueueCount = 1, QueueDepth = 64, UseShadowDoorbells = use }, static device => device.ControllerPage[257] = 1);
        Assert.Equal(use, pair.Controller.UsesShadowDoorbells);
        using DmaBuffer buffer = pair.Controller.AllocateDma(1000 * 512);
        new Random(1).NextBytes(buffer.Span);
        byte[] expected = buffer.Span[..(1000 * 512)].ToArray();
        for (int round = 0; round < 2; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 1000).Select(i => pair.Namespace.WriteAsync((ulong)i, buffer, (nuint)(i * 512), 512).AsTask()));
            Assert.True(pair.Device.Storage.AsSpan(0, expected.Length).SequenceEqual(expected));
            pair.Device.Storage.AsSpan().Clear();
            await pair.Controller.ResetAsync();
            Assert.Equal(use, pair.Controller.UsesShadowDoorbells);
        }

        // Heads of completions are never asked for by this controller, tails only when it has stopped looking.
        Assert.True(pair.Device.Rings > 0);
        Assert.True(!use || pair.Device.Rings < 2500, $"{pair.Device.Rings}");
    }

    [Fact]
    public async Task Trim_and_zeroes_clear_what_they_name()
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable);
        pair.Device.Storage.AsSpan().Fill(0xAA);
        await pair.Namespace.TrimAsync(10, 3);
        await pair.Namespace.WriteZeroesAsync(1000, 700);
        await pair.Namespace.FlushAsync();
        Assert.All(Enumerable.Range(0, FakeNvmeDevice.Blocks), block => Assert.Equal(
            block is (>= 10 and < 13) or (>= 1000 and < 1700) ? 0 : 0xAA,
            pair.Device.Storage[block * 512]));
    }

    [Fact]
    public async Task Commands_that_the_controller_does_not_have_are_refused()
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable, static device => device.ControllerPage[520] = 0);
        Assert.Equal(Errno.EOPNOTSUPP, (await Assert.ThrowsAsync<VfioException>(async () => await pair.Namespace.TrimAsync(0, 1))).Errno);
        Assert.Equal(Errno.EOPNOTSUPP, (await Assert.ThrowsAsync<VfioException>(async () => await pair.Namespace.WriteZeroesAsync(0, 1))).Errno);
    }

    [Fact]
    public async Task Everything_that_changes_is_refused_when_read_only()
    {
        await using FakePair pair = await FakePair.OpenAsync(new NvmeOptions());
        await AssertReadOnlyAsync(pair, "AllowWrites");
    }

    [Fact]
    public async Task Everything_that_changes_is_refused_when_write_protected()
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable, static device => device.NamespacePage[99] = 1);
        await AssertReadOnlyAsync(pair, "write protected");
    }

    [Fact]
    public async Task Places_that_there_are_not_are_the_callers_mistake()
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable);
        NvmeNamespace disk = pair.Namespace;
        using DmaBuffer buffer = pair.Controller.AllocateDma(4096);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.ReadAsync(8192, buffer, 0, 512));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.ReadAsync(8191, buffer, 0, 1024));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.ReadAsync(ulong.MaxValue, buffer, 0, 512));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.ReadAsync(0, buffer, 0, 100));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.ReadAsync(0, buffer, 2, 512));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.ReadAsync(0, buffer, 4000, 512));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.ReadAsync(0, buffer, nuint.MaxValue - 3, 512));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.ReadAsync(0, new byte[513]));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.TrimAsync(0, 8193));
        await disk.ReadAsync(8192, buffer, 0, 0);
        await disk.ReadAsync(8191, buffer, 3584, 512);
    }

    [Fact]
    public async Task Force_unit_access_is_asked_for()
    {
        uint dword = 0;
        await using FakePair pair = await FakePair.OpenAsync(s_writable, device => device.Hook = (int queue, ref SubmissionEntry command, ref FakeCompletion _) =>
        {
            dword = queue != 0 ? command.Dword12 : dword;
            return true;
        });
        await pair.Namespace.WriteAsync(0, new byte[1024], force: true);
        Assert.Equal(0x40000001u, dword);
        await pair.Namespace.WriteAsync(0, new byte[1024]);
        Assert.Equal(1u, dword);
    }

    [Fact]
    public async Task Smart_and_error_log_and_features_are_read()
    {
        await using FakePair pair = await FakePair.OpenAsync(s_writable, static device =>
        {
            device.LogPage[0] = 1;
            device.LogPage[1] = 44;
            device.Hook = static (int queue, ref SubmissionEntry command, ref FakeCompletion completion) =>
            {
                completion.Result = queue == 0 && command.Opcode == AdminOpcode.GetFeatures ? command.Dword10 << 8 : 0;
                return true;
            };
        });
        Assert.Equal(NvmeCriticalWarnings.AvailableSpare, (await pair.Controller.GetSmartLogAsync()).CriticalWarnings);
        NvmeErrorLogEntry entry = Assert.Single(await pair.Controller.GetErrorLogAsync(2));
        Assert.Equal(44UL * 256 + 1, entry.Count);
        Assert.Equal(0x600u, await pair.Controller.GetFeatureAsync(NvmeFeature.VolatileWriteCache));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => pair.Controller.GetErrorLogAsync(65));
        await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => pair.Controller.GetSmartLogAsync()));
    }

    private static async Task AssertReadOnlyAsync(FakePair pair, string why)
    {
        NvmeNamespace disk = pair.Namespace;
        Assert.True(disk.IsReadOnly);
        using DmaBuffer buffer = pair.Controller.AllocateDma(4096);
        foreach (Func<ValueTask> change in (Func<ValueTask>[])
        [
            () => disk.WriteAsync(0, buffer, 0, 512), () => disk.WriteAsync(0, new byte[512]), () => disk.TrimAsync(0, 1), () => disk.WriteZeroesAsync(0, 1),
        ])
        {
            VfioException exception = await Assert.ThrowsAsync<VfioException>(async () => await change());
            Assert.Equal(Errno.EROFS, exception.Errno);
            Assert.Contains(why, exception.Message, StringComparison.Ordinal);
        }

        await disk.ReadAsync(0, buffer, 0, 512);
        await disk.FlushAsync();
        Assert.False(pair.Device.Storage.AsSpan().ContainsAnyExcept((byte)0));
    }
}
