using Vfio.Devices.Edu;
using Vfio.User;

namespace Vfio.Drivers.Edu.Tests;

/// <summary>The same tests over every way to reach a device; only the address differs.</summary>
public abstract class EduDriverTests : IAsyncLifetime
{
    private readonly VfioHost _host = new();
    private readonly string _socket = Path.Combine(Path.GetTempPath(), $"vfio-edu-{Guid.NewGuid():n}.sock");
    private EduDevice? _device;
    private VfioUserServer? _server;

    protected abstract string Scheme { get; }

    private string Address => Scheme == "local" ? "local:edu0" : $"unix:{_socket}";

    public ValueTask InitializeAsync()
    {
        _device = _host.Allocate(static () => new EduDevice());
        _ = _host.RegisterEmulatedIommuDevice(_device, "edu0");
        if (Scheme == "unix")
        {
            _server = VfioUserServer.Listen(_host, "edu0", _socket);
        }

        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }

        await _host.DisposeAsync();
        _device?.Put();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Open_edu_reads_its_version()
    {
        await using EduDriver driver = await OpenAsync();
        Assert.Equal(new Version(1, 0), driver.Version);
        Assert.Equal(PciInterrupt.Msi, driver.InterruptKind);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(uint.MaxValue)]
    [InlineData(0x12345678u)]
    public async Task CheckLiveness_any_pattern_is_inverted(uint pattern)
    {
        await using EduDriver driver = await OpenAsync();
        Assert.True(driver.CheckLiveness(pattern));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(PciInterrupt.Intx)]
    public async Task ComputeFactorial_by_interrupt_is_right(PciInterrupt? interrupt)
    {
        await using EduDriver driver = await OpenAsync(interrupt);
        Assert.Equal(3628800u, await driver.ComputeFactorialAsync(10, TestContext.Current.CancellationToken));
        Assert.Equal(120u, await driver.ComputeFactorialAsync(5, TestContext.Current.CancellationToken));
        Assert.Equal(1u, await driver.ComputeFactorialAsync(0, TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(PciInterrupt.Intx)]
    public async Task RaiseInterrupt_many_times_none_is_lost(PciInterrupt? interrupt)
    {
        await using EduDriver driver = await OpenAsync(interrupt);
        for (uint i = 1; i <= 200; i++)
        {
            Assert.Equal(i, await driver.RaiseInterruptAsync(i, TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public async Task Copy_there_and_back_keeps_the_bytes()
    {
        await using EduDriver driver = await OpenAsync();
        using DmaBuffer there = driver.AllocateDma(4096);
        using DmaBuffer back = driver.AllocateDma(4096);
        Random.Shared.NextBytes(there.Span);
        await driver.CopyToDeviceAsync(there, 4096, TestContext.Current.CancellationToken);
        await driver.CopyFromDeviceAsync(back, 4096, TestContext.Current.CancellationToken);
        Assert.True(there.Span.SequenceEqual(back.Span));
    }

    [Fact]
    public async Task Open_again_after_dispose_works()
    {
        for (int i = 0; i < 5; i++)
        {
            await using EduDriver driver = await OpenAsync();
            Assert.Equal(24u, await driver.ComputeFactorialAsync(4, TestContext.Current.CancellationToken));
        }
    }

    private async Task<EduDriver> OpenAsync(PciInterrupt? interrupt = null)
    {
        VfioConnector connector = new(new LocalTransport(_host), new UnixTransport());
        return EduDriver.Open(await connector.ConnectAsync(Address, TestContext.Current.CancellationToken), interrupt);
    }
}
