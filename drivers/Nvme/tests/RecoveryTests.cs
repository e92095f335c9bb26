using System.Diagnostics;
using Vfio.Abi;

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>Late commands, resets in the middle of traffic, and controllers that fail.</summary>
public sealed class RecoveryTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Late_command_is_aborted()
    {
        ushort lost = 0;
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient, device => device.Hook = (int queue, ref SubmissionEntry command, ref FakeCompletion completion) =>
        {
            if (queue == 1)
            {
                lost = command.CommandId;
                completion.Times = 0;
            }
            else if (command.Opcode == AdminOpcode.Abort)
            {
                Assert.Equal(1u | (uint)lost << 16, command.Dword10);
                device.Complete(1, new FakeCompletion { CommandId = lost, QueueId = 1, Status = 0x0007, Times = 1 });
            }

            return true;
        });
        NvmeException exception = await Assert.ThrowsAsync<NvmeException>(async () => await pair.Namespace.ReadAsync(0, new byte[512]).AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.Equal((Errno.ETIMEDOUT, "Command Abort Requested"), (exception.Errno, exception.Status!.Value.Name));
        Assert.Equal((1, 0), (pair.Controller.Statistics.Aborts, pair.Controller.Statistics.Resets));
    }

    [Fact]
    public async Task Command_that_stays_late_resets_the_controller_and_is_sent_again()
    {
        int tries = 0;
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient, device => device.Hook = (int queue, ref SubmissionEntry command, ref FakeCompletion completion) =>
        {
            completion.Times = queue == 1 && command.Opcode == NvmOpcode.Write && ++tries == 1 ? 0 : 1;
            return completion.Times == 1;
        });
        byte[] data = [.. Enumerable.Repeat((byte)0x5A, 512)];
        await pair.Namespace.WriteAsync(5, data).AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.True(pair.Device.Storage.AsSpan(5 * 512, 512).SequenceEqual(data));
        Assert.Equal((1L, 1L, 2), (pair.Controller.Statistics.Resets, pair.Controller.Statistics.Replays, pair.Device.Enables));
        Assert.Equal(NvmeControllerState.Live, pair.Controller.State);
    }

    [Fact]
    public async Task Command_that_is_never_answered_fails_after_so_many_resets()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { MaximumReplays = 2 }, static device => device.Hook = static (int queue, ref SubmissionEntry command, ref FakeCompletion completion) =>
        {
            completion.Times = queue == 1 && command.Dword10 == 3 ? 0 : 1;
            return true;
        });
        NvmeException exception = await Assert.ThrowsAsync<NvmeException>(async () => await pair.Namespace.ReadAsync(3, new byte[512]).AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.Equal(Errno.ETIMEDOUT, exception.Errno);
        Assert.Null(exception.Status);
        Assert.Equal(3, pair.Controller.Statistics.Resets);
        await pair.Namespace.ReadAsync(4, new byte[512]);
    }

    [Fact]
    public async Task Fatal_status_resets_the_controller()
    {
        bool done = false;
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { CommandTimeout = TimeSpan.FromSeconds(1) }, device => device.Hook = (int queue, ref SubmissionEntry _, ref FakeCompletion completion) =>
        {
            if (queue == 1 && !done)
            {
                done = true;
                device.Status |= ControllerRegister.StatusFatal;
                completion.Times = 0;
            }

            return true;
        });
        await pair.Namespace.ReadAsync(0, new byte[512]).AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal((1, 0), (pair.Controller.Statistics.Resets, pair.Controller.Statistics.Aborts));
    }

    [Fact]
    public async Task Device_that_is_gone_fails_everything_soon()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient);
        pair.Device.IsGone = true;
        NvmeException exception = await Assert.ThrowsAsync<NvmeException>(async () => await pair.Namespace.ReadAsync(0, new byte[512]).AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.Equal(Errno.ENODEV, exception.Errno);
        Assert.Contains("all ones", exception.Message, StringComparison.Ordinal);
        Assert.Equal(NvmeControllerState.Failed, pair.Controller.State);
        await Assert.ThrowsAsync<NvmeException>(async () => await pair.Namespace.ReadAsync(0, new byte[512]));
        await Assert.ThrowsAsync<NvmeException>(() => pair.Controller.GetSmartLogAsync());
        await Assert.ThrowsAsync<VfioException>(() => pair.Controller.ResetAsync());
    }

    [Fact]
    public async Task Controller_that_does_not_come_back_fails_everything()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient, static device => device.Hook = static (int queue, ref SubmissionEntry _, ref FakeCompletion completion) =>
        {
            completion.Times = queue == 1 ? 0 : 1;
            return true;
        });
        Task waiting = pair.Namespace.ReadAsync(0, new byte[512]).AsTask();
        pair.Device.NeverReady = true;
        VfioException exception = await Assert.ThrowsAsync<VfioException>(() => pair.Controller.ResetAsync().WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.Contains("not ready", exception.Message, StringComparison.Ordinal);
        Assert.Equal(Errno.ENODEV, (await Assert.ThrowsAsync<NvmeException>(() => waiting.WaitAsync(s_patience, TestContext.Current.CancellationToken))).Errno);
    }

    [Fact]
    public async Task Controller_that_grants_fewer_queues_than_before_fails()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { QueueCount = 3 });
        pair.Device.GrantedQueues = 0;
        VfioException exception = await Assert.ThrowsAsync<VfioException>(() => pair.Controller.ResetAsync().WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.Contains("grants 1 I/O queues", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(NvmeCompletionMode.Interrupts)]
    [InlineData(NvmeCompletionMode.Polling)]
    public async Task Resets_in_the_middle_of_traffic_lose_nothing(NvmeCompletionMode mode)
    {
        await using FakePair pair = await FakePair.OpenAsync(new NvmeOptions { AllowWrites = true, QueueCount = 2, QueueDepth = 16, Completion = mode, MaximumReplays = 100 });
        using DmaBuffer buffer = pair.Controller.AllocateDma(64 * 4096);
        using CancellationTokenSource stop = new();
        int operations = 0;
        Task[] workers = [.. Enumerable.Range(0, 64).Select(worker => Task.Run(async () =>
        {
            nuint offset = (nuint)(worker * 4096);
            for (byte value = 1; !stop.IsCancellationRequested; value++)
            {
                buffer.Slice(offset, 4096).Fill(value);
                await pair.Namespace.WriteAsync((ulong)(worker * 8), buffer, offset, 4096);
                buffer.Slice(offset, 4096).Clear();
                await pair.Namespace.ReadAsync((ulong)(worker * 8), buffer, offset, 4096);
                Assert.False(buffer.Slice(offset, 4096).ContainsAnyExcept(value));
                Interlocked.Increment(ref operations);
            }
        }))];
        for (int i = 0; i < 10; i++)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
            await pair.Controller.ResetAsync();
        }

        await stop.CancelAsync();
        await Task.WhenAll(workers).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal((10, 11), (pair.Controller.Statistics.Resets, pair.Device.Enables));
        Assert.True(operations > 0);
    }

    [Fact]
    public async Task Resets_asked_for_at_once_are_one()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient);
        await Task.WhenAll(pair.Controller.ResetAsync(), pair.Controller.ResetAsync(), pair.Controller.ResetAsync());
        Assert.Equal(1, pair.Controller.Statistics.Resets);
    }

    [Fact]
    public async Task Admin_command_under_way_fails_by_a_reset()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { CommandTimeout = TimeSpan.FromSeconds(5) }, static device => device.Hook = static (int queue, ref SubmissionEntry command, ref FakeCompletion completion) =>
        {
            completion.Times = queue == 0 && command.Opcode == AdminOpcode.GetLogPage ? 0 : 1;
            return true;
        });
        Task<NvmeSmartLog> log = pair.Controller.GetSmartLogAsync();
        await pair.Controller.ResetAsync();
        NvmeException exception = await Assert.ThrowsAsync<NvmeException>(() => log);
        Assert.Equal(Errno.ECANCELED, exception.Errno);
        Assert.Contains("reset", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Admin_command_that_is_not_answered_resets_the_controller()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient, static device => device.Hook = static (int queue, ref SubmissionEntry command, ref FakeCompletion completion) =>
        {
            completion.Times = queue == 0 && command.Opcode == AdminOpcode.GetLogPage ? 0 : 1;
            return true;
        });
        Assert.Equal(Errno.ECANCELED, (await Assert.ThrowsAsync<NvmeException>(() => pair.Controller.GetSmartLogAsync().WaitAsync(s_patience, TestContext.Current.CancellationToken))).Errno);
        Assert.Equal(1, pair.Controller.Statistics.Resets);
        await pair.Namespace.FlushAsync();
    }

    [Fact]
    public async Task Interrupt_that_is_lost_is_made_good_by_the_watchdog()
    {
        await using FakePair pair = await FakePair.OpenAsync(
            FakePair.Impatient with { CommandTimeout = TimeSpan.FromMilliseconds(400) }, create: static () => new FakeNvmeDevice { LosesInterrupts = true });
        await pair.Namespace.ReadAsync(0, new byte[512]).AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal((0, 0), (pair.Controller.Statistics.Aborts, pair.Controller.Statistics.Resets));
    }

    [Fact]
    public async Task Dispose_in_the_middle_of_traffic_ends_every_operation()
    {
        FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { CommandTimeout = TimeSpan.FromSeconds(5) }, static device => device.Hook = static (int queue, ref SubmissionEntry command, ref FakeCompletion completion) =>
        {
            completion.Times = queue == 1 && command.Dword10 % 2 == 1 ? 0 : 1;
            return true;
        });
        DmaBuffer buffer = pair.Controller.AllocateDma(4096);
        Task[] reads = [.. Enumerable.Range(0, 500).Select(i => pair.Namespace.ReadAsync((ulong)i, buffer, 0, 512).AsTask())];
        long started = Stopwatch.GetTimestamp();
        await pair.Controller.DisposeAsync();
        Assert.InRange(Stopwatch.GetElapsedTime(started), TimeSpan.Zero, s_patience);
        foreach (Task read in reads)
        {
            await read.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        }

        Assert.Equal(Errno.ESHUTDOWN, Assert.IsType<NvmeException>(reads[1].Exception!.InnerException).Errno);
        Assert.True(reads[0].IsCompletedSuccessfully);
        buffer.Dispose();
        await pair.DisposeAsync();
    }
}
