using Vfio.Testing;

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>A fake controller and a driver on it, in this process.</summary>
internal sealed class FakePair : IAsyncDisposable
{
    private readonly DevicePair<FakeNvmeDevice> _pair;
    private bool _isOpen;

    private FakePair(Func<FakeNvmeDevice>? create) => _pair = DevicePair.Local(create ?? (static () => new FakeNvmeDevice()));

    /// <summary>Limits that make late commands late within a test.</summary>
    public static NvmeOptions Impatient { get; } = new()
    {
        AllowWrites = true,
        CommandTimeout = TimeSpan.FromMilliseconds(60),
        ShutdownTimeout = TimeSpan.FromMilliseconds(200),
        QueueCount = 1,
    };

    public FakeNvmeDevice Device => _pair.Device;

    public NvmeController Controller { get; private set; } = null!;

    public NvmeNamespace Namespace => Controller.Namespaces[0];

    public static async Task<FakePair> OpenAsync(NvmeOptions? options = null, Action<FakeNvmeDevice>? prepare = null, Func<FakeNvmeDevice>? create = null)
    {
        FakePair pair = new(create);
        prepare?.Invoke(pair.Device);
        try
        {
            await pair.OpenControllerAsync(options);
            return pair;
        }
        catch
        {
            await pair.DisposeAsync();
            throw;
        }
    }

    public async Task OpenControllerAsync(NvmeOptions? options = null)
    {
        Controller = await NvmeController.OpenAsync(_pair.Connection, options ?? new NvmeOptions { AllowWrites = true, QueueCount = 2 });
        _isOpen = true;
    }

    public async ValueTask DisposeAsync()
    {
        if (_isOpen)
        {
            await Controller.DisposeAsync();
        }

        await _pair.DisposeAsync();
    }
}
