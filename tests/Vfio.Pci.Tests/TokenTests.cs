using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Pci.Tests;

/// <summary>Names and tokens of PCI devices: vfio-core cases 161 to 163, spec §5.14.</summary>
public sealed class TokenTests
{
    private static readonly Guid s_token = Guid.Parse("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
    private static readonly Guid s_other = Guid.Parse("83b8f4f2-509f-382f-3c1e-e6bfe0fa1002");

    [Theory]
    [InlineData("0000:01:00.0", Errno.None)]
    [InlineData("0000:01:00.0   ", Errno.None)]
    [InlineData("0000:01:00.0x", Errno.ENODEV)]
    [InlineData("0000:01:00.", Errno.ENODEV)]
    [InlineData("0000:01:00.0 foo", Errno.EINVAL)]
    [InlineData("0000:01:00.0 vf_token=123", Errno.EINVAL)]
    [InlineData("0000:01:00.0 vf_token=83b8f4f2x509f-382f-3c1e-e6bfe0fa1001", Errno.EINVAL)]
    [InlineData("0000:01:00.0 vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", Errno.EINVAL)]
    public async Task Case161_names(string name, Errno expected)
    {
        await using BusRig rig = new();
        TestDevice device = rig.Add("0000:01:00.0", 0);
        Assert.Equal(expected, Open(rig, device, name));
    }

    [Theory]
    [InlineData("pf  vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001  ", Errno.None)]
    [InlineData("pf vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", Errno.EINVAL)]
    [InlineData("pf vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001x", Errno.EINVAL)]
    public async Task Token_option_comes_once(string name, Errno expected)
    {
        await using BusRig rig = new();
        TestDevice device = rig.Add("pf", 0, configure: static pci => pci.PhysicalFunction());
        Assert.Equal(expected, Open(rig, device, name));
    }

    [Fact]
    public async Task Case162_virtual_function_asks_for_the_token_of_its_physical_one()
    {
        await using BusRig rig = new();
        TestDevice physical = rig.Add("pf", 0, configure: static pci => pci.PhysicalFunction());
        TestDevice function = rig.Add("vf", 1, configure: pci => pci.VirtualFunctionOf(physical));
        using IommufdContext context = new();
        VfioDeviceFile file = rig.Bind("pf", context);
        Assert.Equal(Errno.None, SetToken(file, s_token).Error);
        Assert.Equal(Errno.EACCES, Open(rig, function, "vf"));
        Assert.Equal(Errno.EACCES, Open(rig, function, $"vf vf_token={s_other}"));
        Assert.Equal(Errno.None, Open(rig, function, $"vf vf_token={s_token}"));

        // The same by bind.
        Assert.Equal(Errno.None, rig.Host.TryOpenDevice("vf", out VfioDeviceFile? bound));
        rig.Track(bound!);
        Assert.Equal(Errno.EACCES, bound!.Bind(context, out _));
        Assert.Equal(Errno.EACCES, bound.Bind(context, out _, s_other));
        Assert.Equal(Errno.None, bound.Bind(context, out _, s_token));
    }

    [Fact]
    public async Task Case163_physical_function_without_users_of_virtual_ones_takes_what_it_is_given()
    {
        await using BusRig rig = new();
        TestDevice physical = rig.Add("pf", 0, configure: static pci => pci.PhysicalFunction());
        TestDevice function = rig.Add("vf", 1, configure: pci => pci.VirtualFunctionOf(physical));
        Assert.Equal(Errno.None, Open(rig, physical, "pf"));
        Assert.Equal(Errno.None, Open(rig, physical, $"pf vf_token={s_token}"));
        (_, VfioDeviceFile file) = rig.OpenThroughGroup(function, $"vf vf_token={s_token}");

        // From here on its users must know it.
        Assert.Equal(Errno.EACCES, Open(rig, physical, "pf"));
        Assert.Equal(Errno.EACCES, Open(rig, physical, $"pf vf_token={s_other}"));
        Assert.Equal(Errno.None, Open(rig, physical, $"pf vf_token={s_token}"));
        file.Dispose();
        Assert.Equal(Errno.None, Open(rig, physical, $"pf vf_token={s_other}"));
    }

    [Fact]
    public async Task Virtual_function_of_a_foreign_physical_one_takes_no_token()
    {
        await using BusRig rig = new();
        TestDevice function = rig.Add("vf", 1, configure: static pci => pci.VirtualFunctionOf(null));
        Assert.Equal(Errno.EINVAL, Open(rig, function, $"vf vf_token={s_token}"));
        Assert.Equal(Errno.None, Open(rig, function, "vf"));
    }

    [Fact]
    public async Task Token_feature_is_for_physical_functions_and_write_only()
    {
        await using BusRig rig = new();
        _ = rig.Add("pf", 0, configure: static pci => pci.PhysicalFunction());
        _ = rig.Add("plain", 1);
        using IommufdContext context = new();
        VfioDeviceFile file = rig.Bind("pf", context);
        Assert.Equal(Errno.ENOTTY, SetToken(rig.Bind("plain", context), s_token).Error);
        Assert.Equal(Errno.EINVAL, SetToken(file, s_token, VfioUapi.VFIO_DEVICE_FEATURE_GET).Error);
        Assert.Equal(Errno.EINVAL, SetToken(file, s_token, length: 15).Error);
        Assert.Equal(Errno.None, SetToken(file, s_token, VfioUapi.VFIO_DEVICE_FEATURE_SET | VfioUapi.VFIO_DEVICE_FEATURE_PROBE).Error);
    }

    [Fact]
    public async Task Roles_are_checked_when_declared()
    {
        await using BusRig rig = new();
        TestDevice plain = rig.Add("plain", 0);
        PciConfigurationException error = Assert.Throws<PciConfigurationException>(
            () => rig.Host.Allocate(() => new TestDevice(pci => pci.VirtualFunctionOf(plain).Intx().Address(rig.Bus, 40))));
        Assert.Equal(3, error.Mistakes.Count);
    }

    private static Errno Open(BusRig rig, VfioDevice device, string name)
    {
        Assert.Equal(Errno.None, rig.Host.TryOpenGroup(device.Group!.NodeName, out VfioGroupFile? group));
        using (group)
        using (VfioContainer container = rig.Host.OpenContainer())
        {
            Assert.Equal(Errno.None, group!.SetContainer(container));
            Assert.Equal(Errno.None, container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
            Errno error = group.OpenDevice(name, out VfioDeviceFile? file);
            file?.Dispose();
            return error;
        }
    }

    private static IoResult SetToken(VfioDeviceFile file, Guid token, uint operation = VfioUapi.VFIO_DEVICE_FEATURE_SET, int length = 16)
    {
        byte[] bytes = new byte[8 + length];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), operation | VfioUapi.VFIO_DEVICE_FEATURE_PCI_VF_TOKEN);
        token.ToByteArray(bigEndian: true).AsSpan(0, length).CopyTo(bytes.AsSpan(8));
        return file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(bytes));
    }
}
