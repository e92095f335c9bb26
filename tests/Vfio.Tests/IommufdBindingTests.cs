using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>
/// Devices under an iommufd: as an access when their IOMMU is emulated, as a device behind its IOMMU otherwise (spec iommufd §5; the
/// cases are those of spec iommufd §8.10).
/// </summary>
public sealed class IommufdBindingTests
{
    private const ulong P = 4096;

    [Fact]
    public async Task IommufdCase176_177_178_an_emulated_device_attaches_to_address_spaces_only()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add(create: static () => new RecordingDevice { Pins = true });
        using IommufdContext context = new();
        (uint first, uint second) = (Ioas(context), Ioas(context));
        List<(ulong, ulong)> unmaps = [];
        device.Unmapping = (iova, length) => unmaps.Add((iova, length));
        VfioDeviceFile file = f.Open();
        Assert.Equal(Errno.None, file.Bind(context, out uint id));
        Assert.Equal(Errno.None, context.TryGet(id, out IommufdAccess? access));
        context.Put(access!);
        uint target = first;
        Assert.Equal(Errno.None, file.Attach(ref target));
        Assert.Equal(first, target);
        f.AddPhysical();
        VfioDeviceFile physical = f.OpenBound("p0", context);
        uint pageTable = second;
        Assert.Equal(Errno.None, physical.Attach(ref pageTable));
        uint wrong = pageTable;
        Assert.Equal(Errno.ENOENT, file.Attach(ref wrong));
        Assert.Empty(unmaps);
        target = second;
        Assert.Equal(Errno.None, file.Attach(ref target));
        Assert.Equal([(0ul, ulong.MaxValue)], unmaps);
        Assert.Equal(Errno.None, context.Destroy(first));
    }

    [Fact]
    public async Task IommufdCase179_180_a_physical_device_attaches_to_page_tables_and_moves()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.AddPhysical();
        using IommufdContext context = new();
        (uint first, uint second) = (Ioas(context), Ioas(context));
        VfioDeviceFile file = f.Open("p0");
        Assert.Equal(Errno.None, file.Bind(context, out uint id));
        Assert.Equal(Errno.None, context.TryGet(id, out IommufdDevice? bound));
        context.Put(bound!);
        uint one = first;
        Assert.Equal(Errno.None, file.Attach(ref one));
        Assert.NotEqual(first, one);
        uint two = second;
        Assert.Equal(Errno.None, file.Attach(ref two));
        Assert.Equal(Errno.ENOENT, context.Destroy(one));
        Assert.Equal(Errno.None, context.Destroy(first));
        Assert.Equal(Errno.EBUSY, context.Destroy(second));
        Assert.Equal(Errno.EBUSY, context.Destroy(id));
        Assert.True(device.Dma.IsAttached);
        file.Dispose();
        Assert.Equal(Errno.None, context.Destroy(second));
        Assert.Equal(Errno.ENOENT, context.Destroy(id));
        Assert.False(device.Group!.IommuGroup.IsDmaOwned);
    }

    [Fact]
    public async Task IommufdCase181_182_183_184_185_the_files_own_rules()
    {
        await using CoreFixture f = new();
        f.Add();
        using IommufdContext context = new();
        using EventFd pipe = new();
        TestFileTable files = new() { Files = { [5] = context, [6] = pipe.Descriptor } };
        uint ioas = Ioas(context);
        VfioDeviceFile file = f.Open();
        uint target = ioas;
        Assert.Equal(Errno.EINVAL, file.Attach(ref target));
        Assert.Equal(Errno.EBADFD, Bind(file, 6));
        Assert.Equal(Errno.EBADF, Bind(file, 7));
        Assert.Equal(Errno.EINVAL, Bind(file, -1));
        Assert.Equal(Errno.None, Bind(file, 5));
        Assert.Equal(Errno.None, file.Detach());
        Assert.Equal(Errno.EINVAL, Bind(file, 5));
        Assert.Equal(Errno.EINVAL, Attach(2));
        Assert.Equal(Errno.EOPNOTSUPP, Attach(1));
        Assert.Equal(Errno.None, Attach(0));

        Errno Bind(VfioDeviceFile device, int fd)
        {
            byte[] bytes = new byte[24];
            vfio_device_bind_iommufd command = new() { argsz = 24, iommufd = fd };
            MemoryMarshal.Write(bytes, in command);
            return device.Ioctl(VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, new UserArgument(bytes, files)).Error;
        }

        Errno Attach(uint flags)
        {
            byte[] bytes = new byte[16];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, 16);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), ioas);
            return file.Ioctl(VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, new UserArgument(bytes)).Error;
        }
    }

    [Fact]
    public async Task Dma_of_a_physical_device_goes_through_its_page_table_and_nowhere_else()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.AddPhysical();
        using IommufdContext context = new();
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? ioas));
        VfioDeviceFile file = f.Open("p0");
        Assert.Equal(Errno.None, file.Bind(context, out _));
        Assert.Equal(Errno.EFAULT, device.Dma.Read(0, new byte[4]));
        uint target = ioas!.Id;
        Assert.Equal(Errno.None, file.Attach(ref target));
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous((nuint)P, MemoryProtection.ReadWrite, out MemoryMapping? memory));
        MappedMemorySource source = new(memory!, 0, P, writable: true, ownsMapping: true);
        Assert.Equal(Errno.None, ioas.MapFixed(0x10000, P, source, 0, DmaAccess.ReadWrite));
        source.RemoveReference();
        Assert.Equal(Errno.None, device.Dma.Write(0x10010, [1, 2, 3]));
        byte[] read = new byte[3];
        Assert.Equal(Errno.None, device.Dma.Read(0x10010, read));
        Assert.Equal([1, 2, 3], read);
        Assert.Equal(Errno.EFAULT, device.Dma.Read(0x10000 + P - 1, read));
        Assert.Equal(Errno.EINVAL, device.Dma.TryPin(0x10000, P, DmaAccess.Read, out _));
        Assert.Equal(Errno.None, file.Detach());
        Assert.Equal(Errno.EFAULT, device.Dma.Read(0x10010, read));
    }

    [Fact]
    public async Task A_pasid_has_a_page_table_of_its_own_until_the_last_close()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice { Pasid = true });
        _ = f.Host.RegisterGroupDevice(device, new DeviceParent("p0") { IommuGroup = f.Host.CreateIommuGroup(), PasidCount = 1024 });
        using IommufdContext context = new();
        uint ioas = Ioas(context);
        VfioDeviceFile file = f.Open("p0");
        Assert.Equal(Errno.None, file.Bind(context, out uint id));
        Assert.Equal(Errno.None, context.TryGet(id, out IommufdDevice? bound));
        Assert.Equal(Errno.None, context.CreatePageTable(bound!, ioas, DomainOptions.Pasid, default, 0, out HardwarePageTable? first));
        Assert.Equal(Errno.None, context.CreatePageTable(bound!, ioas, DomainOptions.Pasid, default, 0, out HardwarePageTable? second));
        context.Put(bound!);
        Assert.Equal(Errno.None, Attach(first!.Id));
        Assert.Same(first, bound!.GetPageTable(7));
        Assert.Equal(Errno.None, Attach(second!.Id));
        Assert.Same(second, bound.GetPageTable(7));
        Assert.Equal(Errno.None, context.Destroy(first.Id));
        Assert.Equal(Errno.EBUSY, context.Destroy(second.Id));
        file.Dispose();
        Assert.Equal(Errno.None, context.Destroy(second.Id));

        Errno Attach(uint pageTable)
        {
            byte[] bytes = new byte[16];
            vfio_device_attach_iommufd_pt command = new() { argsz = 16, flags = 1, pt_id = pageTable, pasid = 7 };
            MemoryMarshal.Write(bytes, in command);
            return file.Ioctl(VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, new UserArgument(bytes)).Error;
        }
    }

    private static uint Ioas(IommufdContext context)
    {
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? ioas));
        return ioas!.Id;
    }
}
