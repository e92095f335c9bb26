using Vfio.Qemu.Tests.Harness;

namespace Vfio.Qemu.Tests;

/// <summary>
/// What the tests with a guest share: a booted guest's saved state with two empty root ports, made when the first test
/// asks for it.
/// </summary>
public sealed class GuestFixture : IAsyncLifetime
{
    private readonly Lazy<Task<GuestSnapshot>> _snapshot =
        new(() => GuestSnapshot.CreateAsync(new GuestOptions { RootPorts = 2, Files = GuestPrograms.Pcimem }));

    /// <summary>Starts a guest of its own for the caller, by restoring the shared state.</summary>
    public async Task<GuestMachine> RestoreAsync() => await GuestMachine.RestoreAsync(await _snapshot.Value);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (_snapshot.IsValueCreated)
        {
            (await _snapshot.Value).Dispose();
        }
    }
}
