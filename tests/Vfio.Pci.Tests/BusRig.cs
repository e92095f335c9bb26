using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.TestUtilities;

namespace Vfio.Pci.Tests;

/// <summary>A host with devices that stand on one bus, each in an IOMMU group of its own, opened by whatever way a test wants.</summary>
internal sealed class BusRig : IAsyncDisposable
{
    private readonly List<VfioFile> _files = [];
    private readonly List<VfioPciDevice> _devices = [];

    public BusRig(PciBus? bus = null)
    {
        Bus = bus ?? new PciBus(1, 6);
    }

    public VfioHost Host { get; } = new();

    public PciBus Bus { get; }

    public TestFileTable Files { get; } = new();

    public TestDevice Add(string name, int slot, IommuGroup? group = null, Action<PciDeviceBuilder>? configure = null)
    {
        TestDevice device = Host.Allocate(() => new TestDevice(pci =>
        {
            pci.Address(Bus, slot);
            configure?.Invoke(pci);
        }));
        _devices.Add(device);
        _ = Host.RegisterGroupDevice(device, new DeviceParent(name) { IommuGroup = group ?? Host.CreateIommuGroup() });
        return device;
    }

    public T Track<T>(T file)
        where T : VfioFile
    {
        _files.Add(file);
        return file;
    }

    public VfioDeviceFile Bind(string name, IommufdContext context)
    {
        Assert.Equal(Errno.None, Host.TryOpenDevice(name, out VfioDeviceFile? file));
        Assert.Equal(Errno.None, Track(file!).Bind(context, out _));
        return file!;
    }

    public VfioGroupFile OpenGroup(VfioDevice device)
    {
        Assert.Equal(Errno.None, Host.TryOpenGroup(device.Group!.NodeName, out VfioGroupFile? file));
        return Track(file!);
    }

    public (VfioGroupFile Group, VfioDeviceFile File) OpenThroughGroup(VfioDevice device, string? name = null)
    {
        VfioGroupFile group = OpenGroup(device);
        VfioContainer container = Track(Host.OpenContainer());
        Assert.Equal(Errno.None, group.SetContainer(container));
        Assert.Equal(Errno.None, container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
        Assert.Equal(Errno.None, group.OpenDevice(name ?? device.Name, out VfioDeviceFile? file));
        return (group, Track(file!));
    }

    public Errno Info(VfioDeviceFile file, uint argsz, out uint flags, out uint count, out List<(uint Id, ushort Segment, byte Bus, byte Function)> entries)
    {
        byte[] bytes = new byte[argsz];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, argsz);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), 0xFF);
        Errno error = file.Ioctl(VfioUapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, new UserArgument(bytes)).Error;
        flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4));
        count = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(8));
        entries = [];
        for (int at = 12; error == Errno.None && at < 12 + (count * 8); at += 8)
        {
            entries.Add((BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at)), BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at + 4)), bytes[at + 6], bytes[at + 7]));
        }

        return error;
    }

    public Errno Reset(VfioDeviceFile file, uint flags, params int[] descriptors)
    {
        byte[] bytes = new byte[12 + (descriptors.Length * 4)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), (uint)descriptors.Length);
        for (int i = 0; i < descriptors.Length; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12 + (i * 4)), descriptors[i]);
        }

        return file.Ioctl(VfioUapi.VFIO_DEVICE_PCI_HOT_RESET, new UserArgument(bytes, Files)).Error;
    }

    public async ValueTask DisposeAsync()
    {
        _files.ForEach(static file => file.Dispose());
        await Host.DisposeAsync();
        _devices.ForEach(static device => device.Put());
    }
}
