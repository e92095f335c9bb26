namespace Vfio.Tool.Qemu;

/// <summary>
/// The saved state of a booted guest, from which many start in a quarter of a second each. The machines that start from
/// it have the same options; devices of vfio-user servers cannot be part of it, they are plugged in afterwards.
/// </summary>
public sealed class GuestSnapshot : IDisposable
{
    private readonly ScratchFolder _scratch;

    private GuestSnapshot(GuestOptions options, ScratchFolder scratch)
    {
        Options = options;
        _scratch = scratch;
    }

    /// <summary>What the machine was, and what those that start from it are.</summary>
    public GuestOptions Options { get; }

    internal string StatePath => _scratch.File("state");

    /// <summary>Boots a guest and saves its state.</summary>
    public static async Task<GuestSnapshot> CreateAsync(GuestOptions options)
    {
        var snapshot = new GuestSnapshot(options, new ScratchFolder());
        try
        {
            await using GuestMachine guest = await GuestMachine.BootAsync(options);
            await guest.SaveAsync(snapshot.StatePath);
            return snapshot;
        }
        catch
        {
            snapshot.Dispose();
            throw;
        }
    }

    public void Dispose() => _scratch.Dispose();
}
