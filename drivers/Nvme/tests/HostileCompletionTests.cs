namespace Vfio.Drivers.Nvme.Tests;

/// <summary>A device that writes completions as it likes: each is dropped or taken, nothing hangs, nothing breaks.</summary>
public sealed class HostileCompletionTests
{
    [Theory]
    [InlineData(0x8000, 1, 0)]
    [InlineData(0xFFFF, 1, 0)]
    [InlineData(0x0100, 1, 0)]
    [InlineData(0, 0, 0)]
    [InlineData(0, 0xFFFF, 0)]
    public async Task Completion_of_no_command_is_dropped_and_counted(ushort changeOfId, ushort queueId, ushort head)
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient, device => device.Hook = (int queue, ref SubmissionEntry _, ref FakeCompletion completion) =>
        {
            if (queue == 1)
            {
                device.Complete(1, new FakeCompletion { CommandId = (ushort)(completion.CommandId ^ changeOfId), QueueId = queueId, Head = head, Times = 1 });
            }

            return true;
        });
        for (int i = 0; i < 1000; i++)
        {
            await pair.Namespace.ReadAsync(0, new byte[512]);
        }

        Assert.Equal(1000, pair.Controller.Statistics.InvalidCompletions);
        Assert.Equal(0, pair.Controller.Statistics.Resets);
    }

    [Fact]
    public async Task Completion_given_twice_counts_once()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { QueueDepth = 16 }, static device => device.Hook = static (int queue, ref SubmissionEntry _, ref FakeCompletion completion) =>
        {
            completion.Times = queue == 1 ? 2 : 1;
            return true;
        });
        for (int i = 0; i < 100; i++)
        {
            byte[] there = [.. Enumerable.Repeat((byte)i, 512)];
            byte[] back = new byte[512];
            await pair.Namespace.WriteAsync((ulong)i, there);
            await pair.Namespace.ReadAsync((ulong)i, back);
            Assert.Equal(there, back);
        }

        Assert.InRange(pair.Controller.Statistics.InvalidCompletions, 199, 200);
    }

    [Fact]
    public async Task Submission_queue_head_of_any_value_does_not_matter()
    {
        Random random = new(1);
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { QueueDepth = 4 }, device => device.Hook = (int _, ref SubmissionEntry _, ref FakeCompletion completion) =>
        {
            completion.Head = (ushort)random.Next(65536);
            return true;
        });
        await Task.WhenAll(Enumerable.Range(0, 500).Select(i => pair.Namespace.ReadAsync((ulong)i, new byte[512]).AsTask()));
    }

    [Fact]
    public async Task Flood_of_completions_is_taken_in_bounded_steps()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { QueueDepth = 32 }, device => device.Hook = (int queue, ref SubmissionEntry _, ref FakeCompletion completion) =>
        {
            if (queue == 1)
            {
                device.Complete(1, new FakeCompletion { CommandId = 0x7777, QueueId = 9, Times = 5000 });

                // The flood went round the ring: where the driver stands, nobody knows. The next answers may be lost, and are replayed.
                completion.Times = 1;
            }

            return true;
        });
        try
        {
            await pair.Namespace.ReadAsync(0, new byte[512]).AsTask().WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        }
        catch (NvmeException)
        {
            // Failing is as good as succeeding here; hanging is not.
        }

        Assert.True(pair.Controller.Statistics.InvalidCompletions > 0);
    }

    [Fact]
    public async Task Random_completions_never_break_the_driver()
    {
        Random random = new(42);
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient with { QueueDepth = 16, MaximumReplays = 20 }, device => device.Hook = (int queue, ref SubmissionEntry _, ref FakeCompletion completion) =>
        {
            if (queue == 1 && random.Next(8) == 0)
            {
                completion = new FakeCompletion
                {
                    CommandId = random.Next(2) == 0 ? completion.CommandId : (ushort)random.Next(65536),
                    QueueId = random.Next(2) == 0 ? (ushort)1 : (ushort)random.Next(65536),
                    Head = (ushort)random.Next(65536),
                    Status = (ushort)random.Next(32768),
                    Result = (uint)random.Next(),
                    Times = random.Next(3),
                };
            }

            return true;
        });
        int failed = 0;
        for (int round = 0; round < 10; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 12).Select(async i =>
            {
                try
                {
                    await pair.Namespace.ReadAsync((ulong)i, new byte[512]).AsTask().WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
                }
                catch (NvmeException)
                {
                    Interlocked.Increment(ref failed);
                }
            }));
        }

        Assert.Equal(NvmeControllerState.Live, pair.Controller.State);
    }

    [Fact]
    public async Task Failed_command_tells_its_status_and_place()
    {
        await using FakePair pair = await FakePair.OpenAsync(FakePair.Impatient, static device => device.Hook = static (int queue, ref SubmissionEntry command, ref FakeCompletion completion) =>
        {
            completion.Status = queue == 1 && command.Dword10 == 256 ? (ushort)0x4281 : (ushort)0;
            return true;
        });
        NvmeException exception = await Assert.ThrowsAsync<NvmeException>(async () => await pair.Namespace.ReadAsync(0, new byte[1 << 20]));
        Assert.Equal((NvmeStatusType.MediaAndDataIntegrity, (byte)0x81, true), (exception.Status!.Value.Type, exception.Status.Value.Code, exception.Status.Value.DoNotRetry));
        Assert.Contains("Unrecovered Read Error", exception.Message, StringComparison.Ordinal);
        Assert.Contains("namespace 1", exception.Message, StringComparison.Ordinal);
        await pair.Namespace.ReadAsync(0, new byte[512]);
    }
}
