using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Pci.Tests;

/// <summary>Export of BAR memory: vfio-core case 33, feature 11 of spec §5.12.</summary>
public sealed class DmaBufTests
{
    private const ulong Page = 0x1000;

    private static PciRig Device(bool strict = false) => new(pci =>
    {
        pci.PowerManagement()
            .Bar(0, 0x4000, PciBarKind.Memory64, false, static bar => bar.Memory(Page, new BarMemory("shared", 2 * Page)))
            .Bar(2, new CallbackRegisters("registers", 0x10).Add(0, static () => 7));
        if (strict)
        {
            pci.EnforceDecode();
        }
    });

    [Fact]
    public async Task Case033_export_does_not_hold_the_device_beyond_its_close()
    {
        await using PciRig rig = Device();
        TestFileTable files = new();
        IoResult number = Export(rig, files, 0, (Page, Page));
        Assert.False(number.IsError);
        Assert.True(number.Value > 0);
        PciDmaBuf buffer = (PciDmaBuf)files.Files[(int)number.Value];
        rig.File.Dispose();
        Assert.True(buffer.IsRevoked);
        await rig.Host.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.Equal(Errno.ENODEV, buffer.TryMap(static () => { }, out _));
        buffer.Dispose();
    }

    [Fact]
    public async Task Export_of_an_open_device_holds_its_registration_until_it_is_closed()
    {
        await using PciRig rig = Device();
        TestFileTable files = new();
        PciDmaBuf buffer = (PciDmaBuf)files.Files[(int)Export(rig, files, 0, (Page, Page)).Value];
        Assert.True(rig.Device.TryGetRegistration());
        rig.Device.PutRegistration();
        buffer.Dispose();
        rig.File.Dispose();
        await rig.Host.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Memory_is_the_bars_and_revoked_around_resets_and_in_low_power()
    {
        await using PciRig rig = Device();
        TestFileTable files = new();
        PciDmaBuf buffer = (PciDmaBuf)files.Files[(int)Export(rig, files, 0, (2 * Page, Page), (Page, Page)).Value];
        Assert.Equal(2 * Page, buffer.Length);
        int revoked = 0;
        Assert.Equal(Errno.None, buffer.TryMap(() => revoked++, out DmaBufMapping? mapping));
        rig.Store(0, 2 * Page, 4, 0xABCD);
        Assert.Equal(Errno.None, MemoryMapping.TryMap(mapping!.Pieces[0].Descriptor, mapping.Pieces[0].Offset, (nuint)Page, MemoryProtection.ReadWrite, out MemoryMapping? memory));
        using (memory)
        {
            Assert.Equal(0xABCDu, BinaryPrimitives.ReadUInt32LittleEndian(memory!.Slice(0, 4)));
        }

        rig.Device.ResetAction = _ => Assert.True(buffer.IsRevoked);
        Assert.Equal(Errno.None, rig.File.Reset());
        Assert.Equal((1, true, false), (revoked, mapping.IsRevoked, buffer.IsRevoked));
        mapping.Dispose();

        Assert.Equal(Errno.None, buffer.TryMap(() => revoked++, out mapping));
        Assert.Equal(Errno.None, Feature(rig, VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
        Assert.Equal((2, true), (revoked, buffer.IsRevoked));
        Assert.Equal(Errno.None, Feature(rig, VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
        Assert.False(buffer.IsRevoked);

        int power = rig.FindCapability(1) + 4;
        rig.SetConfig(power, 3, 2);
        Assert.True(buffer.IsRevoked);
        rig.SetConfig(power, 0, 2);
        Assert.False(buffer.IsRevoked);

        // A mapping that was let go hears nothing.
        Assert.Equal(Errno.None, buffer.TryMap(() => revoked++, out mapping));
        mapping!.Dispose();
        rig.Device.ResetAction = null;
        Assert.Equal(Errno.None, rig.File.Reset());
        Assert.Equal(2, revoked);
        buffer.Dispose();
    }

    [Fact]
    public async Task Memory_decoding_that_is_off_revokes_when_it_is_enforced()
    {
        await using PciRig rig = Device(strict: true);
        TestFileTable files = new();
        PciDmaBuf buffer = (PciDmaBuf)files.Files[(int)Export(rig, files, 0, (Page, Page)).Value];
        Assert.True(buffer.IsRevoked);
        rig.SetConfig(PciRegister.Command, (ulong)PciCommand.MemorySpace, 2);
        Assert.False(buffer.IsRevoked);
        buffer.Dispose();
    }

    [Fact]
    public async Task Bad_requests_are_refused_in_the_kernels_order()
    {
        await using PciRig rig = Device();
        TestFileTable files = new();
        Assert.Equal(Errno.EINVAL, Export(rig, files, 0).Error);
        Assert.Equal(Errno.EINVAL, Export(rig, files, 0, flags: 1, count: null, [(Page, Page)]).Error);
        Assert.Equal(Errno.ENODEV, Export(rig, files, 6, (0, Page)).Error);
        Assert.Equal(Errno.ENODEV, Export(rig, files, 4, (0, Page)).Error);
        Assert.Equal(Errno.EINVAL, Export(rig, files, 2, (0, Page)).Error);
        Assert.Equal(Errno.EINVAL, Export(rig, files, 0, (Page, 0)).Error);
        Assert.Equal(Errno.EINVAL, Export(rig, files, 0, (Page + 1, Page)).Error);
        Assert.Equal(Errno.EINVAL, Export(rig, files, 0, (Page, 100)).Error);
        Assert.Equal(Errno.EINVAL, Export(rig, files, 0, (0, Page)).Error);
        Assert.Equal(Errno.EINVAL, Export(rig, files, 0, (Page, 4 * Page)).Error);
        Assert.Equal(Errno.EOVERFLOW, Export(rig, files, 0, (ulong.MaxValue - Page + 1, 2 * Page)).Error);
        Assert.Equal(Errno.EFAULT, Export(rig, files, 0, flags: 0, count: 2, [(Page, Page)]).Error);
        Assert.Equal(Errno.EINVAL, Feature(rig, VfioUapi.VFIO_DEVICE_FEATURE_DMA_BUF));
        files.IsFull = true;
        Assert.Equal(Errno.EMFILE, Export(rig, files, 0, (Page, Page)).Error);
        Assert.Empty(files.Files);
    }

    private static Errno Feature(PciRig rig, uint index)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, 8);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), index | VfioUapi.VFIO_DEVICE_FEATURE_SET);
        return rig.File.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(bytes)).Error;
    }

    private static IoResult Export(PciRig rig, TestFileTable files, uint region, params (ulong Offset, ulong Length)[] ranges)
        => Export(rig, files, region, flags: 0, count: null, ranges);

    private static IoResult Export(PciRig rig, TestFileTable files, uint region, uint flags, int? count, (ulong Offset, ulong Length)[] ranges)
    {
        byte[] bytes = new byte[24 + (ranges.Length * 16)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), VfioUapi.VFIO_DEVICE_FEATURE_DMA_BUF | VfioUapi.VFIO_DEVICE_FEATURE_GET);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), region);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(16), flags);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(20), count ?? ranges.Length);
        for (int i = 0; i < ranges.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24 + (i * 16)), ranges[i].Offset);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(32 + (i * 16)), ranges[i].Length);
        }

        return rig.File.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(bytes, files));
    }
}
