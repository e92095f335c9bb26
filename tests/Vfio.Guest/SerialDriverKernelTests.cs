using Vfio.Drivers.Serial.Tests;

namespace Vfio.Guest;

public sealed class SerialDriverKernelTests : SerialDriverTests
{
    protected override ValueTask<VfioConnection> ConnectAsync() => GuestDevice.ConnectAsync();
}
