using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <summary>A connection to a device of the running kernel's VFIO.</summary>
/// <remarks>
/// <para>Region accesses of 1, 2, 4 and 8 bytes are one system call each, which the kernel does in order; maps of BARs are not ordered against them.</para>
/// <para>A device has one user at a time, and so does a group where the path goes through the group.</para>
/// </remarks>
public sealed partial class KernelConnection : VfioConnection
{
    private const int MaximumDescription = 64 << 10;
    private const int MaximumVectors = 4096;
    private readonly FileDescriptor _device;
    private readonly FileDescriptor? _group;
    private readonly int? _groupNumber;
    private readonly KernelAddressSpace _space;
    private readonly KernelFiles _files;
    private readonly ConcurrentDictionary<ulong, ulong> _mapped = new();
    private int _disposed;

    private KernelConnection(string address, KernelPath path, FileDescriptor device, KernelAddressSpace space, FileDescriptor? group, int? groupNumber, KernelFiles files)
        : base(address)
    {
        _groupNumber = groupNumber;
        Path = path;
        _device = device;
        _space = space;
        _group = group;
        _files = files;
        try
        {
            Describe();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The way that was taken.</summary>
    public KernelPath Path { get; }

    /// <summary>How much memory can be mapped for DMA now; <see cref="VfioConnection.AllocateDma"/> refuses what is more.</summary>
    public LockedMemoryBudget LockedMemory => LockedMemoryBudget.Read(_files, Path);

    /// <inheritdoc/>
    protected override bool HasHardwareDma => true;

    /// <inheritdoc/>
    public override Errno TryRead(uint region, ulong offset, Span<byte> buffer)
    {
        if (!IsInside(region, offset, buffer.Length))
        {
            return Errno.EINVAL;
        }

        IoResult result = _device.ReadAt(buffer, Regions[(int)region].Info.Position + offset);
        return result.IsError ? result.Error : result.Value == buffer.Length ? Errno.None : Errno.EIO;
    }

    /// <inheritdoc/>
    public override Errno TryWrite(uint region, ulong offset, ReadOnlySpan<byte> buffer)
    {
        if (!IsInside(region, offset, buffer.Length))
        {
            return Errno.EINVAL;
        }

        IoResult result = _device.WriteAt(buffer, Regions[(int)region].Info.Position + offset);
        return result.IsError ? result.Error : result.Value == buffer.Length ? Errno.None : Errno.EIO;
    }

    /// <inheritdoc/>
    /// <remarks>VFIO_DEVICE_RESET.</remarks>
    public override Errno TryReset() => _device.Ioctl(VfioUapi.VFIO_DEVICE_RESET, 0).Error;

    /// <inheritdoc/>
    /// <remarks>VFIO_DEVICE_SET_IRQS.</remarks>
    public override IoResult TrySetIrqs(
        PciInterrupt index,
        IrqSetFlags flags,
        uint start,
        uint count,
        ReadOnlySpan<FileDescriptor> eventFds = default,
        ReadOnlySpan<byte> bools = default)
    {
        bool withEventFds = (flags & IrqSetFlags.DataEventFd) != 0;
        if (count > MaximumVectors || (withEventFds && !eventFds.IsEmpty && (uint)eventFds.Length != count))
        {
            return Errno.EINVAL;
        }

        int header = Unsafe.SizeOf<vfio_irq_set>();
        byte[] structure = new byte[header + (withEventFds ? (int)count * sizeof(int) : bools.Length)];
        MemoryMarshal.Write(structure, new vfio_irq_set
        {
            argsz = (uint)structure.Length,
            flags = (uint)flags,
            index = (uint)index,
            start = start,
            count = count,
        });
        if (withEventFds)
        {
            Span<int> numbers = MemoryMarshal.Cast<byte, int>(structure.AsSpan(header));
            for (int i = 0; i < numbers.Length; i++)
            {
                // -1 takes an eventfd away.
                numbers[i] = eventFds.IsEmpty ? -1 : eventFds[i].Number;
            }
        }
        else
        {
            bools.CopyTo(structure.AsSpan(header));
        }

        return _device.Ioctl(VfioUapi.VFIO_DEVICE_SET_IRQS, structure.AsSpan());
    }

    /// <inheritdoc/>
    protected override Errno GetDeviceInfo(out DeviceInfo info)
    {
        vfio_device_info raw = new() { argsz = (uint)Unsafe.SizeOf<vfio_device_info>() };
        Errno error = _device.Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, ref raw).Error;
        info = new DeviceInfo((DeviceFlags)raw.flags, raw.num_regions, raw.num_irqs);
        return error;
    }

    /// <inheritdoc/>
    protected override Errno GetRegionDescription(uint index, out RegionDescription? description)
    {
        description = null;
        int size = Unsafe.SizeOf<vfio_region_info>();
        while (true)
        {
            byte[] structure = new byte[size];
            MemoryMarshal.Write(structure, new vfio_region_info { argsz = (uint)size, index = index });
            Errno error = _device.Ioctl(VfioUapi.VFIO_DEVICE_GET_REGION_INFO, structure.AsSpan()).Error;
            if (error != Errno.None)
            {
                return error;
            }

            // The kernel says how large the whole is, and leaves the capabilities out until there is room.
            vfio_region_info raw = MemoryMarshal.Read<vfio_region_info>(structure);
            if (raw.argsz > size && raw.argsz <= MaximumDescription)
            {
                size = (int)raw.argsz;
                continue;
            }

            RegionInfo info = new() { Index = index, Flags = (RegionFlags)raw.flags, Size = raw.size, Position = raw.offset };
            return RegionDescription.TryParse(info, structure, raw.cap_offset, out description);
        }
    }

    /// <inheritdoc/>
    protected override Errno GetIrqInfo(uint index, out IrqInfo info)
    {
        vfio_irq_info raw = new() { argsz = (uint)Unsafe.SizeOf<vfio_irq_info>(), index = index };
        Errno error = _device.Ioctl(VfioUapi.VFIO_DEVICE_GET_IRQ_INFO, ref raw).Error;
        if (error == Errno.EINVAL)
        {
            // An index that the device does not have, such as errors of a function that is not PCI Express.
            info = new IrqInfo(index, IrqInfoFlags.None, 0);
            return Errno.None;
        }

        info = new IrqInfo(index, (IrqInfoFlags)raw.flags, raw.count);
        return error;
    }

    /// <inheritdoc/>
    protected override Errno MapRegion(uint region, ulong offset, ulong length, out MemoryMapping? mapping)
        => MemoryMapping.TryMap(_device, Regions[(int)region].Info.Position + offset, (nuint)length, MemoryProtection.ReadWrite, out mapping);

    /// <inheritdoc/>
    /// <exception cref="VfioException">ENOMEM: RLIMIT_MEMLOCK does not allow it. EOPNOTSUPP: there is no IOMMU.</exception>
    protected override Errno MapDma(DmaMemory memory, ulong offset, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        string operation = $"map {length} bytes for DMA of {Address}";
        if (Path == KernelPath.NoIommu)
        {
            throw new VfioException(Errno.EOPNOTSUPP, operation, Finding.NoIommuMode("Without an IOMMU a device takes physical addresses, which this library does not give out.").ToSentences());
        }

        LockedMemoryBudget budget = LockedMemory;
        if (!budget.Allows(length))
        {
            throw new VfioException(Errno.ENOMEM, operation, Finding.LockedMemory(budget, length).ToSentences());
        }

        Errno error = _space.Map((ulong)memory.Mapping.DangerousGetHandle() + offset, length, access, iova, out chosen);
        if (error == Errno.None)
        {
            _mapped[chosen] = length;
        }

        return error;
    }

    /// <inheritdoc/>
    protected override Errno UnmapDma(ulong iova, ulong length)
    {
        if (Volatile.Read(ref _disposed) != 0)
        {
            return Errno.ENOTCONN;
        }

        Errno error = _space.Unmap(iova, length);
        if (error == Errno.None)
        {
            _mapped.TryRemove(iova, out _);
        }

        return error;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            // The device first: closing it stops its DMA, after which the memory may go.
            _migrationData?.Dispose();
            _device.Dispose();
            _group?.Dispose();
            foreach ((ulong iova, ulong length) in _mapped)
            {
                // Who shares the address space keeps it, but not what was mapped here.
                _ = _space.Unmap(iova, length);
            }

            _space.Dispose();
        }

        base.Dispose(disposing);
    }
}
