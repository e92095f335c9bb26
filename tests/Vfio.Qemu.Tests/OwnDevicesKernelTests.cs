namespace Vfio.Qemu.Tests;

/// <summary>
/// Our devices, served into a guest behind its IOMMU, driven in there by our drivers through the guest's VFIO: the whole way around. QEMU
/// forwards every mapping of the guest's, page by page, and unmaps ranges of any size.
/// </summary>
[Collection(KernelCollection.Name)]
public sealed class OwnDevicesKernelTests(OwnDevicesFixture fixture) : IClassFixture<OwnDevicesFixture>
{
    [Theory]
    [InlineData("cdev")]
    [InlineData("groupType1")]
    public async Task Edu_driver_passes_its_own_tests(string path)
    {
        Assert.True(await GuestTestRun.RunAsync(fixture.Guest, "EduDriverKernelTests", $"kernel:{OwnDevicesFixture.Edu}?path={path}") >= 12);
        AssertNothingRefused();
    }

    [Fact]
    public async Task Connection_to_the_kernel_does_what_it_says()
    {
        Assert.Equal(5, await GuestTestRun.RunAsync(fixture.Guest, "KernelConnectionTests", $"kernel:{OwnDevicesFixture.Edu}"));
        AssertNothingRefused();
    }

    [Theory]
    [InlineData("cdev")]
    [InlineData("groupType1")]
    public async Task Serial_driver_passes_its_own_tests(string path)
    {
        Assert.True(await GuestTestRun.RunAsync(fixture.Guest, "SerialDriverKernelTests", $"kernel:{OwnDevicesFixture.Serial}?path={path}") >= 8);
        AssertNothingRefused();
    }

    /// <summary>QEMU says on standard error what a server refuses of its mappings, and goes on.</summary>
    private void AssertNothingRefused()
    {
        Assert.DoesNotContain("vfio", fixture.Guest.Process.Output, StringComparison.OrdinalIgnoreCase);
        Assert.False(fixture.Guest.Process.HasExited);
    }
}
