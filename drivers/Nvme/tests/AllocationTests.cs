namespace Vfio.Drivers.Nvme.Tests;

/// <summary>Nothing is allocated in a steady state. Alone in its collection: the whole process is measured.</summary>
[Collection(nameof(AllocationTests))]
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public sealed class AllocationTests
{
    private const int Operations = 8_000;

    [Theory]
    [InlineData(512, NvmeDataPointer.Prp)]
    [InlineData(64 << 10, NvmeDataPointer.Prp)]
    [InlineData(64 << 10, NvmeDataPointer.Sgl)]
    [InlineData(300 << 10, NvmeDataPointer.Prp)]
    public async Task Transfers_on_the_callers_thread_allocate_nothing(int length, NvmeDataPointer pointer)
    {
        await using FakePair pair = await FakePair.OpenAsync(
            new NvmeOptions { AllowWrites = true, QueueCount = 1, RunContinuationsInline = true, DataPointer = pointer }, static device => device.ControllerPage[536] = 1);
        using DmaBuffer buffer = pair.Controller.AllocateDma((nuint)length);
        int rounds = Math.Clamp(Operations * 512 / length, 100, 1000);

        // A lock makes its event when it is first contended, whenever that is: one run of several without any allocation is the steady state.
        long[] bytes = [.. Enumerable.Range(0, 5).Select(_ => Run(pair, buffer, length, rounds))];
        Assert.Equal(0, bytes.Min());
        Assert.InRange(bytes.Skip(1).Sum(), 0, 4096);
    }

    [Theory]
    [InlineData(NvmeCompletionMode.Interrupts, false)]
    [InlineData(NvmeCompletionMode.Interrupts, true)]
    [InlineData(NvmeCompletionMode.Polling, false)]
    public async Task Awaited_transfers_allocate_nothing_in_the_whole_process(NvmeCompletionMode mode, bool inline)
    {
        await using FakePair pair = await FakePair.OpenAsync(new NvmeOptions { AllowWrites = true, QueueCount = 1, Completion = mode, RunContinuationsInline = inline });
        using DmaBuffer buffer = pair.Controller.AllocateDma(8 * 4096);
        _ = await MeasureAsync(pair, buffer);
        long least = long.MaxValue;
        for (int i = 0; i < 5; i++)
        {
            least = Math.Min(least, await MeasureAsync(pair, buffer));
        }

        // What the runtime itself does on the side (timers, queues of the pool that grow) is not per operation, and not in every run.
        Assert.InRange(least, 0, Operations);
    }

    private static long Run(FakePair pair, DmaBuffer buffer, int length, int rounds)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < rounds; i++)
        {
            ValueTask operation = (i & 1) == 0 ? pair.Namespace.WriteAsync(1, buffer, 0, (nuint)length) : pair.Namespace.ReadAsync(1, buffer, 0, (nuint)length);
            while (!operation.IsCompleted)
            {
                if (pair.Controller.Poll() == 0)
                {
                    // The device's work wants a processor too.
                    Thread.Yield();
                }
            }

            operation.GetAwaiter().GetResult();
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static async Task<long> MeasureAsync(FakePair pair, DmaBuffer buffer)
    {
        Task[] workers = new Task[8];
        long before = GC.GetTotalAllocatedBytes(precise: true);
        for (int i = 0; i < workers.Length; i++)
        {
            workers[i] = WorkAsync(pair, buffer, i);
        }

        await Task.WhenAll(workers);
        return GC.GetTotalAllocatedBytes(precise: true) - before;
    }

    private static async Task WorkAsync(FakePair pair, DmaBuffer buffer, int worker)
    {
        for (int i = 0; i < Operations / 8; i++)
        {
            await pair.Namespace.ReadAsync((ulong)(worker * 8), buffer, (nuint)(worker * 4096), 4096).ConfigureAwait(false);
        }
    }
}
