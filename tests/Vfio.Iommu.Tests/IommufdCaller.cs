using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Tests;

/// <summary>A caller of iommufd commands with memory of its own: a structure at the start, lists behind it, and a buffer B.</summary>
internal sealed class IommufdCaller : IDisposable
{
    public const ulong P = 4096;
    public const ulong Max = ulong.MaxValue;
    public const uint Fixed = IommufdUapi.IOMMU_IOAS_MAP_FIXED_IOVA;
    public const uint Readable = IommufdUapi.IOMMU_IOAS_MAP_READABLE;
    public const uint Writeable = IommufdUapi.IOMMU_IOAS_MAP_WRITEABLE;
    public const uint ReadWrite = Readable | Writeable;
    public const ulong ListAddress = TestUserMemory.Base + 256;

    /// <summary>B: 16 pages at a huge-page aligned address of the caller.</summary>
    public const ulong B = 0x7f0000000000;

    private readonly List<IommufdDevice> _devices = [];
    private int _nextGroup = 100;

    public IommufdCaller(CallerCapabilities capabilities = CallerCapabilities.All, ProcessMemoryAccount? account = null, IIommufdExtension? extension = null)
    {
        Identity = new Vfio.Iommu.IommufdCaller(capabilities, account);
        Context = new IommufdContext(caller: () => Identity) { Extension = extension };
    }

    /// <summary>Who calls; may change between calls.</summary>
    public Vfio.Iommu.IommufdCaller Identity { get; set; }

    public IommufdContext Context { get; }

    public CallerMemory Memory { get; } = new();

    public TestFileTable Files { get; } = new();

    public Errno Call<T>(uint command, ref T structure, int? size = null)
        where T : unmanaged
    {
        int length = Unsafe.SizeOf<T>();
        Memory.Bytes.AsSpan(0, 256).Clear();
        MemoryMarshal.Write(Memory.Bytes, in structure);
        MemoryMarshal.Write(Memory.Bytes, (uint)(size ?? length));
        IoResult result = Context.Ioctl(command, new UserArgument(Memory, TestUserMemory.Base, Files));
        structure = MemoryMarshal.Read<T>(Memory.Bytes);
        return result.Error;
    }

    /// <summary>A command by its bytes: the first four are the size as given.</summary>
    public Errno CallRaw(uint command, uint size, byte fill = 0, int fillFrom = 0)
    {
        Memory.Bytes.AsSpan(0, 256).Clear();
        MemoryMarshal.Write(Memory.Bytes, size);
        if (fill != 0)
        {
            Memory.Bytes.AsSpan(fillFrom, (int)size - fillFrom).Fill(fill);
        }

        return Context.Ioctl(command, new UserArgument(Memory, TestUserMemory.Base, Files)).Error;
    }

    public uint Alloc()
    {
        iommu_ioas_alloc command = default;
        Assert.Equal(Errno.None, Call(IommufdUapi.IOMMU_IOAS_ALLOC, ref command));
        return command.out_ioas_id;
    }

    public Errno Destroy(uint id)
    {
        iommu_destroy command = new() { id = id };
        return Call(IommufdUapi.IOMMU_DESTROY, ref command);
    }

    public Errno Map(uint ioas, ulong iova, ulong length, uint flags = Fixed | ReadWrite, ulong va = B) => Map(ioas, ref iova, length, flags, va);

    public Errno Map(uint ioas, ref ulong iova, ulong length, uint flags, ulong va = B, uint reserved = 0)
    {
        iommu_ioas_map command = new() { flags = flags, ioas_id = ioas, user_va = va, length = length, iova = iova, __reserved = reserved };
        Errno error = Call(IommufdUapi.IOMMU_IOAS_MAP, ref command);
        iova = command.iova;
        return error;
    }

    public Errno MapFile(uint ioas, int fd, ulong start, ulong length, ulong iova, uint flags = Fixed | ReadWrite)
    {
        iommu_ioas_map_file command = new() { flags = flags, ioas_id = ioas, fd = fd, start = start, length = length, iova = iova };
        return Call(IommufdUapi.IOMMU_IOAS_MAP_FILE, ref command);
    }

    public Errno Unmap(uint ioas, ulong iova, ulong length, out ulong unmapped)
    {
        iommu_ioas_unmap command = new() { ioas_id = ioas, iova = iova, length = length };
        Errno error = Call(IommufdUapi.IOMMU_IOAS_UNMAP, ref command);
        unmapped = command.length;
        return error;
    }

    public Errno Unmap(uint ioas, ulong iova, ulong length) => Unmap(ioas, iova, length, out _);

    public Errno Copy(uint destination, ulong destinationIova, uint source, ulong sourceIova, ulong length, uint flags = Fixed | ReadWrite)
        => Copy(destination, ref destinationIova, source, sourceIova, length, flags);

    public Errno Copy(uint destination, ref ulong destinationIova, uint source, ulong sourceIova, ulong length, uint flags)
    {
        iommu_ioas_copy command = new()
        {
            flags = flags,
            dst_ioas_id = destination,
            src_ioas_id = source,
            length = length,
            dst_iova = destinationIova,
            src_iova = sourceIova,
        };
        Errno error = Call(IommufdUapi.IOMMU_IOAS_COPY, ref command);
        destinationIova = command.dst_iova;
        return error;
    }

    public Errno Allow(uint ioas, params (ulong Start, ulong Last)[] ranges)
    {
        for (int i = 0; i < ranges.Length; i++)
        {
            MemoryMarshal.Write(Memory.Bytes.AsSpan(256 + (i * 16)), new iommu_iova_range { start = ranges[i].Start, last = ranges[i].Last });
        }

        iommu_ioas_allow_iovas command = new() { ioas_id = ioas, num_iovas = (uint)ranges.Length, allowed_iovas = ListAddress };
        return Call(IommufdUapi.IOMMU_IOAS_ALLOW_IOVAS, ref command);
    }

    public Errno Ranges(uint ioas, uint slots, out uint count, out ulong alignment, out (ulong Start, ulong Last)[] ranges, uint reserved = 0)
    {
        Memory.Bytes.AsSpan(256, 256).Fill(0xEE);
        iommu_ioas_iova_ranges command = new() { ioas_id = ioas, num_iovas = slots, allowed_iovas = ListAddress, __reserved = reserved };
        Errno error = Call(IommufdUapi.IOMMU_IOAS_IOVA_RANGES, ref command);
        count = command.num_iovas;
        alignment = command.out_iova_alignment;
        ranges = [.. Enumerable.Range(0, (int)slots).Select(i =>
        {
            iommu_iova_range range = MemoryMarshal.Read<iommu_iova_range>(Memory.Bytes.AsSpan(256 + (i * 16)));
            return (range.start, range.last);
        })];
        return error;
    }

    public Errno Option(uint option, uint operation, uint objectId, ref ulong value, ushort reserved = 0)
    {
        iommu_option command = new() { option_id = option, op = (ushort)operation, object_id = objectId, val64 = value, __reserved = reserved };
        Errno error = Call(IommufdUapi.IOMMU_OPTION, ref command);
        value = command.val64;
        return error;
    }

    public Errno VfioIoas(uint operation, ref uint ioas)
    {
        iommu_vfio_ioas command = new() { op = (ushort)operation, ioas_id = ioas };
        Errno error = Call(IommufdUapi.IOMMU_VFIO_IOAS, ref command);
        ioas = command.ioas_id;
        return error;
    }

    public Ioas Ioas(uint id)
    {
        Assert.Equal(Errno.None, Context.TryGet(id, out Ioas? ioas));
        Context.Put(ioas!);
        return ioas!;
    }

    /// <summary>Binds a device of a mock in a group of its own, or of the group given.</summary>
    public IommufdDevice Bind(MockIommu? hardware = null, IommuGroup? group = null, bool tracks = true, uint pasids = 0)
    {
        group ??= new IommuGroup(_nextGroup++, null, hardware ?? new MockIommu());
        Assert.Equal(Errno.None, Context.BindDevice(new MockDevice(group) { TracksWrites = tracks, PasidCount = pasids }, false, out IommufdDevice? bound));
        _devices.Add(bound!);
        return bound!;
    }

    /// <summary>Binds a device and attaches it.</summary>
    public IommufdDevice Attach(uint target, MockIommu? hardware = null, bool tracks = true, uint pasids = 0)
    {
        IommufdDevice device = Bind(hardware, null, tracks, pasids);
        Assert.Equal(Errno.None, device.Attach(ref target));
        return device;
    }

    public Errno PageTable(uint device, uint target, out uint id, uint flags = 0, uint type = 0, uint? data = null, uint length = 4, uint fault = 0, uint reserved = 0, uint reserved2 = 0)
    {
        BitConverter.TryWriteBytes(Memory.Bytes.AsSpan(256), data ?? 0);
        iommu_hwpt_alloc command = new()
        {
            flags = flags,
            dev_id = device,
            pt_id = target,
            data_type = type,
            data_len = type == 0 && data is null ? 0 : length,
            data_uptr = ListAddress,
            fault_id = fault,
            __reserved = reserved,
            __reserved2 = reserved2,
        };
        Errno error = Call(IommufdUapi.IOMMU_HWPT_ALLOC, ref command);
        id = command.out_hwpt_id;
        return error;
    }

    public T Get<T>(uint id)
        where T : IommufdObject
    {
        Assert.Equal(Errno.None, Context.TryGet(id, out T? value));
        Context.Put(value!);
        return value!;
    }

    /// <summary>Unbinds what is still bound, closes everything, and sees that no page of B is left pinned.</summary>
    public void Dispose()
    {
        foreach (IommufdDevice device in _devices)
        {
            device.Detach();
            device.Unbind();
        }

        Context.Dispose();
        foreach (object file in Files.Files.Values)
        {
            (file as VfioFile)?.Dispose();
        }

        Assert.Equal(0, Memory.PinCount);
        Memory.Dispose();
    }
}
