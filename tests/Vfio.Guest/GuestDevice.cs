using Vfio.Kernel;

namespace Vfio.Guest;

/// <summary>The device that the tests here use: the guest's, at the address that they are started with.</summary>
internal static class GuestDevice
{
    /// <summary>The environment variable with the address.</summary>
    public const string Variable = "VFIO_GUEST_DEVICE";

    public static ValueTask<VfioConnection> ConnectAsync()
    {
        string address = Environment.GetEnvironmentVariable(Variable) ?? throw new InvalidOperationException($"{Variable} names the device, as kernel:0000:00:04.0.");
        return new VfioConnector(new KernelTransport()).ConnectAsync(address, TestContext.Current.CancellationToken);
    }
}
