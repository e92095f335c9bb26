namespace Vfio.Kernel.Tests;

public sealed class PciAddressTests
{
    [Theory]
    [InlineData("0000:06:0d.0", "0000:06:0d.0")]
    [InlineData("06:0D.7", "0000:06:0d.7")]
    [InlineData("10000:ff:1f.1", "10000:ff:1f.1")]
    public void TryParse_address_is_as_sysfs_names_it(string text, string expected)
    {
        Assert.True(PciAddress.TryParse(text, out PciAddress address));
        Assert.Equal(expected, address.ToString());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("06")]
    [InlineData("06:0d")]
    [InlineData("06:20.0")]
    [InlineData("06:0d.8")]
    [InlineData("100:0d.0")]
    [InlineData("0:06:0d.0.1")]
    [InlineData("0:0:06:0d.0")]
    [InlineData("+6:0d.0")]
    [InlineData("06:0d.")]
    [InlineData("123456789:06:0d.0")]
    public void TryParse_other_text_is_refused(string? text) => Assert.False(PciAddress.TryParse(text, out _));

    [Fact]
    public void CompareTo_orders_by_domain_bus_device_function()
    {
        string[] sorted = ["0000:00:00.1", "0000:00:02.0", "0000:01:00.0", "0001:00:00.0"];
        Assert.Equal(sorted, sorted.Reverse().Select(FakeKernel.Address).Order().Select(static address => address.ToString()));
    }
}
