using System.CommandLine;
using Vfio.Drivers.Nvme;
using Vfio.Tool.Devices;
using Vfio.User;

namespace Vfio.Tool.Commands.Nvme;

/// <summary>A controller that a command works on, and what is behind it.</summary>
internal sealed class NvmeSession : IAsyncDisposable
{
    /// <summary>Writes of registers are not answered, as on PCI Express: a doorbell costs one message.</summary>
    private static readonly VfioUserClientOptions s_posted = new() { PostedWrites = true };

    private readonly OpenedDevice _device;

    private NvmeSession(OpenedDevice device, NvmeController controller)
    {
        _device = device;
        Controller = controller;
    }

    public NvmeController Controller { get; }

    public static Option<int> Namespace() => CommonOptions.Number("--namespace", "The namespace; the first that can be used when not given", null, "a namespace identifier, 1 or more", static value => value > 0);

    public static Option<ulong?> Offset() => CommonOptions.Size("--offset", "Where to begin in the namespace, a multiple of its block size", 0);

    public static Option<bool> Poll() => new("--poll") { Description = "Look for completions all the time instead of waiting for interrupts" };

    public static async Task<NvmeSession> OpenAsync(string address, NvmeOptions options, CancellationToken cancellationToken)
    {
        OpenedDevice device = await OpenedDevice.OpenAsync(address, cancellationToken, user: s_posted);
        try
        {
            return new NvmeSession(device, await NvmeController.OpenAsync(device.Connection, options, cancellationToken));
        }
        catch
        {
            await device.DisposeAsync();
            throw;
        }
    }

    /// <summary>The namespace that was named, or the first usable one.</summary>
    public NvmeNamespace Select(int id)
    {
        NvmeNamespace? found = id > 0
            ? Controller.Namespaces.FirstOrDefault(known => known.Id == (uint)id)
            : Controller.Namespaces.FirstOrDefault(static known => known.Problem is null) ?? (Controller.Namespaces.Count > 0 ? Controller.Namespaces[0] : null);
        return found is null
            ? throw new UsageException($"{Controller.Address} has no {(id > 0 ? $"namespace {id}" : "namespace")}; it has {(Controller.Namespaces.Count == 0 ? "none" : string.Join(", ", Controller.Namespaces.Select(static known => known.Id)))}.")
            : found.Problem is null ? found : throw new VfioException(Abi.Errno.EOPNOTSUPP, $"use namespace {found.Id} of {Controller.Address}", found.Problem);
    }

    /// <summary>Turns bytes into blocks.</summary>
    public static ulong ToBlocks(NvmeNamespace disk, ulong bytes, string what)
        => bytes % (ulong)disk.BlockSize == 0 ? bytes / (ulong)disk.BlockSize : throw new UsageException($"{what} is a multiple of the block size, {disk.BlockSize}, which {bytes} is not.");

    public async ValueTask DisposeAsync()
    {
        await Controller.DisposeAsync();
        await _device.DisposeAsync();
    }
}
