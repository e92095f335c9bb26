using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>Capability lists of devices that do not mean well.</summary>
public sealed class PciFunctionConfigTests
{
    [Fact]
    public void GetCapabilities_of_lists_that_run_in_circles_ends()
    {
        byte[] config = new byte[4096];
        config[PciRegister.Status] = 0x10;
        config[PciRegister.CapabilityPointer] = 0x40;
        BinaryPrimitives.WriteUInt16LittleEndian(config.AsSpan(0x40), 0x5001);
        BinaryPrimitives.WriteUInt16LittleEndian(config.AsSpan(0x50), 0x4005);
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(0x100), 0x10010001);
        using ConfigOnlyConnection connection = new(config);
        IReadOnlyList<PciCapabilityEntry> entries = connection.Pci.GetCapabilities();
        Assert.Equal(48 + 480, entries.Count);
        Assert.Equal(0x50, connection.Pci.Find(PciCapabilityId.Msi)!.Value.Offset);
        Assert.Null(connection.Pci.Find(PciCapabilityId.Msix));
    }

    [Theory]
    [InlineData(0x00)]
    [InlineData(0x3C)]
    [InlineData(0x03)]
    public void GetCapabilities_of_a_pointer_into_the_header_are_none(int pointer)
    {
        byte[] config = new byte[256];
        config[PciRegister.Status] = 0x10;
        config[PciRegister.CapabilityPointer] = (byte)pointer;
        using ConfigOnlyConnection connection = new(config);
        Assert.Empty(connection.Pci.GetCapabilities());
    }

    [Fact]
    public void Members_of_a_function_that_is_gone_read_all_ones_and_end()
    {
        byte[] config = new byte[4096];
        Array.Fill(config, (byte)0xFF);
        using ConfigOnlyConnection connection = new(config);
        Assert.Equal(0xFFFF, connection.Pci.VendorId);
        Assert.Equal(48, connection.Pci.GetCapabilities().Count);
        Assert.Null(connection.Pci.Msix);
        Assert.Equal(Errno.ENOTTY, Assert.Throws<VfioException>(connection.Reset).Errno);
    }

    [Fact]
    public void Capability_at_the_end_of_the_space_is_refused_not_read_beyond()
    {
        byte[] config = new byte[256];
        config[PciRegister.Status] = 0x10;
        config[PciRegister.CapabilityPointer] = 0xFC;
        config[0xFC] = (byte)PciCapabilityId.Msix;
        using ConfigOnlyConnection connection = new(config);
        Assert.Equal(Errno.EINVAL, Assert.Throws<VfioException>(() => connection.Pci.Msix).Errno);
    }
}
