using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.Pci;

namespace Vfio.Differential;

/// <summary>Our core, with the devices of <see cref="Targets"/> registered as physical functions behind an IOMMU like the virtual machine's.</summary>
internal sealed class CoreSystem : IVfioSystem
{
    private readonly VfioHost _host = new();
    private readonly ProcessUserMemory _memory = new();
    private readonly CallerFiles _files = new();
    private readonly Dictionary<Target, VfioDevice> _devices = [];

    public CoreSystem()
    {
        // The root bus of A cannot be reset; that of B is behind a port and can.
        PciBus behindPort = new(number: 1);
        foreach (Target target in Targets.All)
        {
            VfioDevice device = _host.Allocate(() => new ModelDevice(target, target == Target.B ? behindPort : null, enforcesDecode: true));
            IommuGroup group = _host.CreateIommuGroup(hardware: MachineIommu.Instance);
            _host.RegisterGroupDevice(device, new DeviceParent(Targets.Address(target)) { IommuGroup = group, TracksWrites = false });
            _devices.Add(target, device);
        }
    }

    public string DeviceName(Target target) => _devices[target].Name;

    public string GroupPath(Target target) => $"/dev/vfio/{_devices[target].Group!.NodeName}";

    public string DevicePath(Target target) => $"/dev/vfio/devices/{_devices[target].NodeName}";

    public IoResult Open(string path)
    {
        Errno error = _host.Open(path, out VfioFile? file);
        return error == Errno.None ? _files.Install(file!) : error;
    }

    public IoResult Close(int descriptor) => _files.Close(descriptor);

    public IoResult Ioctl(int descriptor, uint request, ulong argument)
    {
        Errno error = _files.TryGet(descriptor, out object? file);
        return error != Errno.None ? error
            : file is VfioFile own ? own.Ioctl(request, new UserArgument(_memory, argument, _files))
            : Errno.ENOTTY;
    }

    public IoResult Read(int descriptor, Span<byte> buffer, ulong? position)
    {
        Errno error = _files.TryGet(descriptor, out object? file);
        return error != Errno.None ? error : file is VfioFile own ? own.Read(buffer, position ?? 0) : Errno.EINVAL;
    }

    public IoResult Write(int descriptor, ReadOnlySpan<byte> buffer, ulong? position)
    {
        Errno error = _files.TryGet(descriptor, out object? file);
        return error != Errno.None ? error : file is VfioFile own ? own.Write(buffer, position ?? 0) : Errno.EINVAL;
    }

    public IoResult Poll(int descriptor)
    {
        Errno error = _files.TryGet(descriptor, out object? file);
        return error != Errno.None ? error : IoResult.Success((long)((VfioFile)file!).Readiness);
    }

    public Errno Map(int descriptor, ulong position, ulong length, MemoryProtection protection, bool shared, out IDisposable? mapping)
    {
        mapping = null;
        Errno error = _files.TryGet(descriptor, out object? file);
        if (error != Errno.None)
        {
            return error;
        }

        error = ((VfioFile)file!).Map(new MapRequest(position, length, protection, shared), out MappableMemory memory);
        if (error == Errno.None)
        {
            memory.Lease?.Dispose();
        }

        return error;
    }

    public int Adopt(FileDescriptor descriptor) => _files.Adopt(descriptor);

    /// <summary>The core has put it into <see cref="CallerFiles"/>.</summary>
    public void Keep(int descriptor)
    {
    }

    public void Dispose()
    {
        _files.Dispose();
        _host.DisposeAsync().AsTask().GetAwaiter().GetResult();
        foreach (VfioDevice device in _devices.Values)
        {
            device.Put();
        }
    }
}
