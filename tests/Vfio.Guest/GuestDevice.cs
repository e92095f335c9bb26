using Vfio.Kernel;

namespace Vfio.Guest;

/// <summary>The device that the tests here use: the guest's, at the address that they are started with.</summary>
internal static class GuestDevice
{
    /// <summary>The environment variable with the address.</summary>
    public const string Variable = "VFIO_GUEST_DEVICE";

    /// <summary>The address, as <c>kernel:0000:00:04.0?path=cdev</c>.</summary>
    public static string Address { get; } = Environment.GetEnvironmentVariable(Variable) ?? throw new InvalidOperationException($"{Variable} names the device, as kernel:0000:00:04.0.");

    /// <summary>The PCI function.</summary>
    public static PciAddress Function => PciAddress.TryParse(Address.Split(':', 2)[1].Split('?')[0], out PciAddress address) ? address : throw new FormatException(Address);

    public static ValueTask<VfioConnection> ConnectAsync() => new VfioConnector(new KernelTransport()).ConnectAsync(Address, TestContext.Current.CancellationToken);
}
