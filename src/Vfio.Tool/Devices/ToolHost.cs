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
        _devices.Add(device);
        return Host.RegisterEmulatedIommuDevice(device, name);
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
