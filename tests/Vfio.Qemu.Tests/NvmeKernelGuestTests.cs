using System.Text.Json.Nodes;

namespace Vfio.Qemu.Tests;

/// <summary>Our NVMe driver on a controller that is not ours: QEMU's, inside the guest, by the guest kernel's VFIO.</summary>
[Collection(GuestCollection.Name)]
public sealed class NvmeKernelGuestTests(NvmeKernelFixture fixture) : IClassFixture<NvmeKernelFixture>
{
    [Theory]
    [InlineData("cdev")]
    [InlineData("groupType1")]
    public async Task Driver_passes_its_own_tests_by_every_path(string path)
        => Assert.True(await GuestTestRun.RunAsync(fixture.Guest, "NvmeDriverKernelTests", $"kernel:{NvmeKernelFixture.Nvme}?path={path}") >= 12);
}
