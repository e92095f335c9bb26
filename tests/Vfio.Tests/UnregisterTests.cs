using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>Unregistration with and without users, on a clock that the test moves (spec vfio-core §4, §10.2).</summary>
public sealed class UnregisterTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case018_idle_device_is_gone_at_once_without_a_request()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(device, "d0");
        Task unregistered = registration.UnregisterAsync(Token);
        Assert.True(unregistered.IsCompletedSuccessfully);
        Assert.DoesNotContain(device.Calls, static call => call.StartsWith("request", StringComparison.Ordinal));
        Assert.Same(unregistered, registration.UnregisterAsync(Token));
    }

    [Fact]
    public async Task Case020_requests_come_every_ten_seconds_until_the_close()
    {
        await using CoreFixture f = new();
        (RecordingDevice device, VfioRegistration registration) = Add(f);
        VfioDeviceFile file = f.OpenBound();
        device.Forget();
        Task unregistered = registration.UnregisterAsync(Token);
        await Advance(f, device, 25);
        Assert.Equal(["request 0", "request 1", "request 2"], device.Calls);
        Assert.False(unregistered.IsCompleted);
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
        await Advance(f, device, 60);
        Assert.Equal(["request 0", "request 1", "request 2", "close", "unbind"], device.Calls);
    }

    [Fact]
    public async Task UnregisterAsync_called_again_from_the_request_is_the_same_unregistration()
    {
        await using CoreFixture f = new();
        (RecordingDevice device, VfioRegistration registration) = Add(f);
        VfioDeviceFile file = f.OpenBound();
        device.Forget();
        Task? inner = null;
        device.Requesting = () => inner = registration.UnregisterAsync(Token);
        Task unregistered = registration.UnregisterAsync(Token);
        Assert.Same(unregistered, inner);
        Assert.Equal(["request 0"], device.Calls);
        Assert.False(unregistered.IsCompleted);
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task UnregisterAsync_completes_when_the_device_fails_to_close()
    {
        await using CoreFixture f = new();
        (RecordingDevice device, VfioRegistration registration) = Add(f);
        VfioDeviceFile file = f.OpenBound();
        device.Forget();
        device.Closing = static () => throw new InvalidOperationException("A mistake in the device.");
        Task unregistered = registration.UnregisterAsync(Token);
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
        Assert.Equal(["request 0", "close", "unbind"], device.Calls);
        Assert.Equal(0, f.Drivers);
    }

    [Fact]
    public async Task Case021_close_before_ten_seconds_is_one_request()
    {
        await using CoreFixture f = new();
        (RecordingDevice device, VfioRegistration registration) = Add(f);
        VfioDeviceFile file = f.OpenBound();
        device.Forget();
        Task unregistered = registration.UnregisterAsync(Token);
        await Advance(f, device, 9);
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
        Assert.Equal(["request 0", "close", "unbind"], device.Calls);
    }

    [Fact]
    public async Task Case022_the_first_signal_turns_the_loop_and_no_later_one()
    {
        using LogRecorder log = new();
        await using CoreFixture f = new(options: options => options with { LoggerFactory = log });
        (RecordingDevice device, VfioRegistration registration) = Add(f);
        VfioDeviceFile file = f.OpenBound();
        device.Forget();
        using CancellationTokenSource signal = new();
        Task unregistered = registration.UnregisterAsync(signal.Token);
        await Advance(f, device, 3);
        await signal.CancelAsync();
        await Eventually(() => device.Calls.Count == 2);
        await Advance(f, device, 9);
        Assert.Equal(["request 0", "request 1"], device.Calls);
        await Advance(f, device, 1);
        Assert.Equal(["request 0", "request 1", "request 2"], device.Calls);

        using CancellationTokenSource second = new();
        Assert.Same(unregistered, registration.UnregisterAsync(second.Token));
        await second.CancelAsync();
        await Advance(f, device, 9);
        Assert.Equal(3, device.Calls.Count);
        Assert.Equal([1003], log.Events);
        Assert.False(unregistered.IsCompleted);
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task Case023_device_without_a_request_op_is_waited_for_in_silence()
    {
        await using CoreFixture f = new();
        VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(f.Host.Allocate(static () => new PlainDevice()), "d0");
        VfioDeviceFile file = f.OpenBound();
        Task unregistered = registration.UnregisterAsync(Token);
        for (int i = 0; i < 6; i++)
        {
            f.Clock.Advance(TimeSpan.FromSeconds(10));
            await Task.Delay(3, Token);
            Assert.False(unregistered.IsCompleted);
        }

        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task Case024_025_unbound_file_blocks_and_may_still_bind()
    {
        await using CoreFixture f = new();
        (RecordingDevice device, VfioRegistration registration) = Add(f);
        VfioDeviceFile file = f.Open();
        Task unregistered = registration.UnregisterAsync(Token);
        Assert.False(unregistered.IsCompleted);
        using IommufdContext context = new();
        Assert.Equal(Errno.None, file.Bind(context, out _));
        Assert.Contains("open", device.Calls);
        Assert.False(unregistered.IsCompleted);
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task Case027_028_029_during_the_wait_files_work_and_new_users_do_not_come()
    {
        await using CoreFixture f = new();
        (RecordingDevice device, VfioRegistration registration) = Add(f);
        VfioDeviceFile file = f.OpenBound();
        Task unregistered = registration.UnregisterAsync(Token);
        Assert.Equal(Errno.ENODEV, f.Host.TryOpenDevice("d0", out _));
        Assert.Equal(Errno.ENODEV, f.Host.TryOpenDevice(device.NodeName, out _));
        device.Forget();
        Assert.Equal(Errno.ENOTTY, file.Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, new UserArgument(new byte[24])).Error);
        Assert.Equal(Errno.EINVAL, file.Read(new byte[4], 0).Error);
        byte[] feature = Type1Rig.Bytes(8u, 0x77u | VfioUapi.VFIO_DEVICE_FEATURE_SET);
        Assert.Equal(Errno.None, file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(feature)).Error);
        Assert.Equal([$"ioctl {VfioUapi.VFIO_DEVICE_GET_INFO:x}", "read"], device.Calls);
        Assert.Equal((0x77u | VfioUapi.VFIO_DEVICE_FEATURE_SET, 0ul), device.LastFeature);
        Assert.True(device.TryGetRegistration());
        device.PutRegistration();
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
        Assert.False(device.TryGetRegistration());
    }

    [Fact]
    public async Task Requested_event_reaches_open_files_with_the_count()
    {
        await using CoreFixture f = new();
        (RecordingDevice device, VfioRegistration registration) = Add(f);
        VfioDeviceFile file = f.OpenBound();
        List<uint> counts = [];
        file.Requested += counts.Add;
        Task unregistered = registration.UnregisterAsync(Token);
        await Advance(f, device, 10);
        Assert.Equal([0u, 1u], counts);
        file.Dispose();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    private static (RecordingDevice Device, VfioRegistration Registration) Add(CoreFixture f)
    {
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
        return (device, f.Host.RegisterEmulatedIommuDevice(device, "d0"));
    }

    /// <summary>Moves the clock by seconds, letting the loop run after each.</summary>
    private static async Task Advance(CoreFixture f, RecordingDevice device, int seconds)
    {
        for (int i = 0; i < seconds; i++)
        {
            int before = device.Calls.Count;
            f.Clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(before == device.Calls.Count ? 3 : 10, Token);
        }
    }

    private static async Task Eventually(Func<bool> condition)
    {
        for (int i = 0; i < 1000 && !condition(); i++)
        {
            await Task.Delay(5, Token);
        }

        Assert.True(condition());
    }
}
