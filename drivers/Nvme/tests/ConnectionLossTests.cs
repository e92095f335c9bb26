using Vfio.Abi;
using Vfio.Testing;

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>A server that goes while its controller is in use.</summary>
public sealed class ConnectionLossTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Operations_under_way_fail_at_once_and_dispose_works()
    {
        await using DevicePair<FakeNvmeDevice> pair = DevicePair.OverSocket(static () => new FakeNvmeDevice());
        bool silent = false;
        pair.Device.Hook = (int queue, ref SubmissionEntry _, ref FakeCompletion completion) =>
        {
            completion.Times = queue > 0 && silent ? 0 : 1;
            return true;
        };
        await using NvmeController controller = await NvmeController.OpenAsync(pair.Connection, FakePair.Impatient with { CommandTimeout = TimeSpan.FromMinutes(10) }, TestContext.Current.CancellationToken);
        NvmeNamespace disk = controller.Namespaces[0];
        await disk.ReadAsync(0, new byte[512]);
        silent = true;
        Task[] reads = [.. Enumerable.Range(0, 100).Select(i => disk.ReadAsync((ulong)i, new byte[512]).AsTask())];
        await pair.Server!.DisposeAsync();
        foreach (Task read in reads)
        {
            NvmeException exception = await Assert.ThrowsAsync<NvmeException>(() => read.WaitAsync(s_patience, TestContext.Current.CancellationToken));
            Assert.Equal(Errno.ENODEV, exception.Errno);
            Assert.Contains("cannot be reached", exception.Message, StringComparison.Ordinal);
        }

        Assert.Equal(NvmeControllerState.Failed, controller.State);
        await Assert.ThrowsAsync<NvmeException>(async () => await disk.FlushAsync());
    }

    [Fact]
    public async Task Opening_fails_at_once()
    {
        await using DevicePair<FakeNvmeDevice> pair = DevicePair.OverSocket(static () => new FakeNvmeDevice());
        TaskCompletionSource reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        pair.Device.DoorbellHook = _ => reached.TrySetResult();
        Task<NvmeController> opening = NvmeController.OpenAsync(pair.Connection, new NvmeOptions { CommandTimeout = TimeSpan.FromMinutes(10) }, TestContext.Current.CancellationToken);
        await reached.Task.WaitAsync(s_patience, TestContext.Current.CancellationToken);
        await pair.Server!.DisposeAsync();
        await Assert.ThrowsAnyAsync<VfioException>(() => opening.WaitAsync(s_patience, TestContext.Current.CancellationToken));
    }
}
