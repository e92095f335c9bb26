using Vfio.Linux;
using Vfio.Tool.Devices;
using Vfio.User;

namespace Vfio.Tool.Serving;

/// <summary>The devices that a process serves, which can be changed one by one while the others go on.</summary>
internal sealed class DeviceHost(ToolHost host, VfioUserServerOptions options) : IAsyncDisposable
{
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly List<RunningDevice> _running = [];

    /// <summary>What is served now.</summary>
    public IReadOnlyList<RunningDevice> Devices
    {
        get
        {
            lock (_running)
            {
                return [.. _running];
            }
        }
    }

    /// <summary>Threads of the host's.</summary>
    public WorkerThreads Workers => host.Host.Workers;

    /// <summary>Completes when each server has ended by itself, which those on a connected descriptor do with their client.</summary>
    public Task Completion => Task.WhenAll(Devices.Select(static device => device.Server.Completion));

    /// <summary>Starts a device and prints where it listens.</summary>
    public async Task AddAsync(ServedDevice device)
    {
        VfioRegistration registration = host.Add(device.Name, device.Create);
        try
        {
            await DeviceCatalog.AnnounceAsync(device.Model, registration.Device);
            VfioUserServer server = device.SocketPath is { } path
                ? VfioUserServer.Listen(host.Host, device.Name, path, options)
                : VfioUserServer.Serve(host.Host, device.Name, new FileDescriptor(device.Descriptor, ownsHandle: true), options);
            lock (_running)
            {
                _running.Add(new RunningDevice(device, registration, server));
            }
        }
        catch
        {
            await host.RemoveAsync(registration);
            throw;
        }

        await Console.Out.WriteLineAsync($"listening {device.Place}");
    }

    /// <summary>
    /// Makes what is served what is wanted: takes away what is not wanted or has changed, by the request loop, adds what is new, and touches nothing
    /// else. A device that fails is told on standard error; the others go on.
    /// </summary>
    public async Task ApplyAsync(IReadOnlyList<ServedDevice> wanted)
    {
        await _turn.WaitAsync();
        try
        {
            RunningDevice[] leaving = [.. Devices.Where(running => !wanted.Any(device => device.IsSameAs(running.Description)))];
            await Task.WhenAll(leaving.Select(RemoveAsync));
            foreach (ServedDevice device in wanted.Where(device => !Devices.Any(running => running.Description.Name == device.Name)))
            {
                try
                {
                    await AddAsync(device);
                }
                catch (Exception exception) when (exception is VfioException or LinuxException or IOException or UnauthorizedAccessException)
                {
                    await Console.Error.WriteLineAsync($"vfio: {device.Name}: {exception.Message.ReplaceLineEndings(" ")}");
                }
            }

            await Console.Out.FlushAsync();
        }
        finally
        {
            _turn.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (RunningDevice device in Devices)
        {
            await device.Server.DisposeAsync();
        }

        _turn.Dispose();
    }

    private async Task RemoveAsync(RunningDevice device)
    {
        lock (_running)
        {
            _running.Remove(device);
        }

        await host.RemoveAsync(device.Registration);
        await device.Server.DisposeAsync();
        await Console.Out.WriteLineAsync($"removed {device.Description.Place}");
    }
}
