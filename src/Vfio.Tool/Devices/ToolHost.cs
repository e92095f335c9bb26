using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Vfio.Tool.Devices;

/// <summary>A host of this process with devices out of the catalog, all given back at dispose.</summary>
internal sealed class ToolHost : IAsyncDisposable
{
    private readonly List<VfioDevice> _devices = [];

    public ToolHost(ILoggerFactory? logger = null)
    {
        Host = new VfioHost(new VfioHostOptions { LoggerFactory = logger ?? NullLoggerFactory.Instance });
    }

    public VfioHost Host { get; }

    /// <summary>Makes and registers a device.</summary>
    public VfioRegistration Add(string name, Func<VfioDevice> create)
    {
        VfioDevice device = Host.Allocate(create);
        lock (_devices)
        {
            _devices.Add(device);
        }

        return Host.RegisterEmulatedIommuDevice(device, name);
    }

    /// <summary>Takes a device away: waits for its users, whom it asks to let go, and gives it back.</summary>
    public async Task RemoveAsync(VfioRegistration registration)
    {
        VfioDevice device = registration.Device;
        await registration.DisposeAsync();
        lock (_devices)
        {
            _devices.Remove(device);
        }

        device.Put();
    }

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        foreach (VfioDevice device in _devices)
        {
            device.Put();
        }
    }
}
