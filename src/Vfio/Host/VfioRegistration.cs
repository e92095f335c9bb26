namespace Vfio;

/// <summary>A device's time on offer: from its registration until its last user has gone.</summary>
/// <remarks>Disposing unregisters. It does not give back the device object: that is <see cref="VfioDevice.Put"/>.</remarks>
public sealed class VfioRegistration : IAsyncDisposable
{
    private readonly VfioHost _host;
    private readonly Lock _lock = new();
    private Task? _unregistration;

    internal VfioRegistration(VfioHost host, VfioDevice device)
    {
        _host = host;
        Device = device;
    }

    /// <summary>The device.</summary>
    public VfioDevice Device { get; }

    /// <summary>Whether new users can come. Guarded by the host's registry lock.</summary>
    internal bool IsOpenable { get; set; } = true;

    /// <summary>
    /// Withdraws the device: nobody can open it any more, those who have it open are asked to let go
    /// (<see cref="VfioDevice.OnRequest"/> with 0, 1, 2, …, every ten seconds), and the task completes when the last has closed it.
    /// </summary>
    /// <param name="interrupt">
    /// A signal to the waiter: the first time it fires, the loop turns at once and a warning is logged. It does not end the wait: a
    /// device cannot be taken from its user.
    /// </param>
    /// <returns>A task that completes when no user is left; it never fails. All calls return the same task.</returns>
    /// <remarks><c>vfio_unregister_group_dev</c>; spec vfio-core §4.1. Open files keep working until they are closed.</remarks>
    public Task UnregisterAsync(CancellationToken interrupt = default)
    {
        TaskCompletionSource done;
        lock (_lock)
        {
            if (_unregistration is not null)
            {
                return _unregistration;
            }

            done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _unregistration = done.Task;
        }

        // Outside the lock: the first turn asks the device on this thread, and it may well call here again.
        _ = FinishAsync();
        return done.Task;

        async Task FinishAsync()
        {
            try
            {
                await RunAsync(interrupt).ConfigureAwait(false);
            }
            finally
            {
                done.SetResult();
            }
        }
    }

    /// <summary>Unregisters the device and waits for its users.</summary>
    /// <returns>A task as of <see cref="UnregisterAsync"/>.</returns>
    public ValueTask DisposeAsync() => new(UnregisterAsync());

    private async Task RunAsync(CancellationToken interrupt)
    {
        _host.Hide(this);
        Device.PutRegistration();
        uint count = 0;
        bool interruptible = interrupt.CanBeCanceled;
        while (!Device.Unused.IsCompleted)
        {
            _host.LogRequest(Device, count);
            Request(count++);
            try
            {
                await Device.Unused
                    .WaitAsync(_host.Options.RequestInterval, _host.TimeProvider, interruptible ? interrupt : CancellationToken.None)
                    .ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                // The next turn.
            }
            catch (OperationCanceledException)
            {
                interruptible = false;
                _host.LogInterrupted(Device);
            }
        }

        _host.Remove(this);
    }

    private void Request(uint count)
    {
        try
        {
            Device.OnRequest(count);
            Device.RaiseRequested(count);
        }
#pragma warning disable CA1031 // The author's code must not end the loop: the registration would never finish.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _host.LogRequestFailed(Device, exception);
        }
    }
}
