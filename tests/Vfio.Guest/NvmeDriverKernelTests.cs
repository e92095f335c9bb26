using Vfio.Drivers.Nvme.Tests;

namespace Vfio.Guest;

public sealed class NvmeDriverKernelTests : NvmeDriverTests
{
    protected override ValueTask<VfioConnection> ConnectAsync() => GuestDevice.ConnectAsync();
}
