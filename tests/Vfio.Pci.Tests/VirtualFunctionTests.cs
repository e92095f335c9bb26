using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Pci.Tests;

/// <summary>Virtual functions as the host of their physical one makes them.</summary>
public sealed class VirtualFunctionTests
{
    [Fact]
    public async Task Number_is_shown_and_outlives_the_last_user()
    {
        await using BusRig rig = new();
        TestDevice physical = rig.Add("pf", 0, configure: static pci => pci.PciExpress().PhysicalFunction(Set(4), offset: 0x100));
        Assert.Equal(Errno.None, physical.TrySetVirtualFunctions(3));
        Assert.Equal(3, physical.VirtualFunctionCount);
        Assert.Equal(0x0004_0004U, physical.Config.GetDword(0x10C));
        using (IommufdContext context = new())
        {
            rig.Bind("pf", context).Dispose();
        }

        Assert.Equal(3, physical.Config.GetWord(0x110));
        Assert.Equal(9, physical.Config.GetWord(0x108));
        Assert.Equal(Errno.None, physical.TrySetVirtualFunctions(0));
        Assert.Equal(0U, physical.Config.GetDword(0x110) & 0xFFFF);
        Assert.Equal(0, physical.Config.GetWord(0x108));
    }

    [Theory]
    [InlineData(0, 3, Errno.None)]
    [InlineData(3, 3, Errno.None)]
    [InlineData(3, 2, Errno.EBUSY)]
    [InlineData(0, 5, Errno.ERANGE)]
    [InlineData(0, -1, Errno.ERANGE)]
    public async Task Number_is_checked(int before, int wanted, Errno expected)
    {
        await using BusRig rig = new();
        TestDevice physical = rig.Add("pf", 0, configure: static pci => pci.PciExpress().PhysicalFunction(Set(4)));
        Assert.Equal(Errno.None, physical.TrySetVirtualFunctions(before));
        Assert.Equal(expected, physical.TrySetVirtualFunctions(wanted));
        Assert.Equal(expected == Errno.None ? wanted : before, physical.VirtualFunctionCount);
    }

    [Fact]
    public async Task Device_without_them_says_so()
    {
        await using BusRig rig = new();
        TestDevice device = rig.Add("pf", 0, configure: static pci => pci.PhysicalFunction());
        Assert.Null(device.VirtualFunctionSet);
        Assert.Equal(Errno.ENOENT, device.TrySetVirtualFunctions(1));
        Assert.Equal(0, device.VirtualFunctionCount);
    }

    [Fact]
    public void Impossible_sets_are_mistakes()
    {
        PciDeviceBuilder builder = new PciDeviceBuilder().Id(1, 2).Class(2, 0).PciExpress().PhysicalFunction(Set(0));
        Assert.Contains(Assert.Throws<PciConfigurationException>(() => builder.Build()).Mistakes, static mistake => mistake.StartsWith("0 virtual functions", StringComparison.Ordinal));
    }

    private static VirtualFunctionSet Set(int limit) => new(limit, 8, 1, 0x1234, static _ => throw new InvalidOperationException("These tests make none."));
}
