using Vfio.Drivers.Edu.Tests;

namespace Vfio.Guest;

public sealed class EduDriverKernelTests : EduDriverTests
{
    protected override ValueTask<VfioConnection> ConnectAsync() => GuestDevice.ConnectAsync();
}
