namespace Vfio.Kernel;

/// <summary>
/// Reaches the devices of the running kernel's VFIO: <c>kernel:0000:06:0d.0</c> by the address of a PCI function,
/// <c>kernel:/dev/vfio/devices/vfio0</c> by the node of any device.
/// </summary>
/// <param name="options">How to open them.</param>
public sealed class KernelTransport(KernelOptions? options = null) : IVfioTransport
{
    private readonly KernelOptions _options = options ?? new KernelOptions();

    /// <inheritdoc/>
    public string Scheme => "kernel";

    /// <inheritdoc/>
    public ValueTask<VfioConnection> ConnectAsync(string target, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return ValueTask.FromResult<VfioConnection>(KernelConnection.Open(target, _options));
    }
}
