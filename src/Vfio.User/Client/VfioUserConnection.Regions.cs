using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

/// <content>What the server says about its device, and memory of regions.</content>
public sealed partial class VfioUserConnection
{
    private const int RegionInfoSize = 32;
    private const int MaximumDescription = 64 << 10;
    private const int MaximumRegions = 100;
    private readonly FileDescriptor?[] _regionMemory = new FileDescriptor?[MaximumRegions];
    private readonly ulong[] _regionMemoryOffsets = new ulong[MaximumRegions];

    /// <summary>Asks for a region's doorbells: eventfds that have the effect of a register write and cost no message.</summary>
    /// <param name="region">The region.</param>
    /// <param name="doorbells">The doorbells; the caller disposes them. None when the region has none.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; the server's error, which is <see cref="Errno.EINVAL"/> from one that does not know the request;
    /// <see cref="Errno.EPROTO"/> for an answer that makes no sense.
    /// </returns>
    /// <remarks>DEVICE_GET_REGION_IO_FDS; spec vfio-user §3.6. Entries of other kinds than ioeventfds are left out.</remarks>
    public Errno TryGetDoorbells(PciRegion region, out DoorbellSet? doorbells)
    {
        doorbells = null;
        Errno error = GetDoorbells((uint)region, DoorbellHeaderSize, [], out vfio_user_region_io_fds info, out _, null);
        if (error != Errno.None)
        {
            return error;
        }

        if (info.count == 0)
        {
            doorbells = new DoorbellSet([], []);
            return Errno.None;
        }

        if (info.argsz > MaximumDescription || info.argsz < DoorbellHeaderSize || info.count > MaximumDescription)
        {
            return Errno.EPROTO;
        }

        using DescriptorList descriptors = new();
        byte[] entries = new byte[info.argsz - DoorbellHeaderSize];
        error = GetDoorbells((uint)region, info.argsz, entries, out info, out int length, descriptors);
        return error != Errno.None ? error : DoorbellSet.TryParse(info, entries.AsSpan(0, length), descriptors, out doorbells);
    }

    /// <summary>The memory behind a region, for as long as the connection lasts.</summary>
    /// <param name="region">The region's index.</param>
    /// <param name="memory">The memory, if the server gave any that can be mapped.</param>
    /// <param name="offset">Where the region starts in it.</param>
    internal bool TryGetRegionMemory(uint region, [NotNullWhen(true)] out FileDescriptor? memory, out ulong offset)
    {
        (memory, offset) = region < MaximumRegions ? (_regionMemory[region], _regionMemoryOffsets[region]) : (null, 0);
        return memory is not null;
    }

    /// <inheritdoc/>
    protected override Errno GetDeviceInfo(out DeviceInfo info)
    {
        info = default;
        Span<byte> message = stackalloc byte[HeaderSize + Marshal.SizeOf<vfio_user_device_info>()];
        message.Clear();
        Span<byte> reply = stackalloc byte[Marshal.SizeOf<vfio_user_device_info>()];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_user_device_info { argsz = (uint)reply.Length });
        Errno error = _channel.Exchange(VfioUserCommand.DeviceGetInfo, message, default, default, reply, default, out int length);
        if (error != Errno.None)
        {
            return error;
        }

        if (length < reply.Length)
        {
            return Errno.EPROTO;
        }

        vfio_user_device_info raw = MemoryMarshal.Read<vfio_user_device_info>(reply);
        info = new DeviceInfo((DeviceFlags)raw.flags, raw.num_regions, raw.num_irqs);
        return Errno.None;
    }

    /// <inheritdoc/>
    protected override Errno GetRegionDescription(uint index, out RegionDescription? description)
    {
        description = null;
        if (index >= MaximumRegions)
        {
            return Errno.EINVAL;
        }

        // First the fixed part, then once more with room for the capabilities; an answer that grew meanwhile is not followed.
        using DescriptorList descriptors = new();
        byte[] structure = new byte[RegionInfoSize];
        Errno error = GetRegion(index, structure, out vfio_region_info raw, out int length, descriptors);
        if (error == Errno.None && raw.argsz > RegionInfoSize)
        {
            if (raw.argsz > MaximumDescription)
            {
                return Errno.EPROTO;
            }

            structure = new byte[raw.argsz];
            error = GetRegion(index, structure, out raw, out length, descriptors);
        }

        if (error != Errno.None)
        {
            return error;
        }

        RegionFlags flags = (RegionFlags)raw.flags;
        if (length > structure.Length
            || raw.argsz > structure.Length
            || ((flags & RegionFlags.Capabilities) != 0 && raw.cap_offset != 0 && raw.cap_offset < RegionInfoSize)
            || descriptors.Count > 1
            || descriptors.Truncated)
        {
            return Errno.EPROTO;
        }

        RegionInfo info = new() { Index = index, Flags = flags, Size = raw.size, Position = raw.offset };
        error = RegionDescription.TryParse(info, structure.AsSpan(0, length), raw.cap_offset, out description);
        if (error != Errno.None || (flags & RegionFlags.Map) == 0)
        {
            return error;
        }

        if (descriptors.Count == 1 && IsMappable(descriptors[0]!, raw.offset, description!))
        {
            _regionMemory[index]?.Dispose();
            _regionMemory[index] = descriptors.Take(0);
            _regionMemoryOffsets[index] = raw.offset;
            return Errno.None;
        }

        // Not to be mapped: the region is reached by messages.
        info.Flags &= ~RegionFlags.Map;
        return RegionDescription.TryParse(info, structure.AsSpan(0, length), raw.cap_offset, out description);
    }

    /// <inheritdoc/>
    protected override Errno GetIrqInfo(uint index, out IrqInfo info)
    {
        info = default;
        int size = Marshal.SizeOf<vfio_irq_info>();
        Span<byte> message = stackalloc byte[HeaderSize + size];
        Span<byte> reply = stackalloc byte[size];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_irq_info { argsz = (uint)size, index = index });
        Errno error = _channel.Exchange(VfioUserCommand.DeviceGetIrqInfo, message, default, default, reply, default, out int length);
        if (error != Errno.None)
        {
            return error;
        }

        if (length < size)
        {
            return Errno.EPROTO;
        }

        vfio_irq_info raw = MemoryMarshal.Read<vfio_irq_info>(reply);
        info = new IrqInfo(index, (IrqInfoFlags)raw.flags, raw.count);
        return Errno.None;
    }

    /// <inheritdoc/>
    protected override Errno MapRegion(uint region, ulong offset, ulong length, out MemoryMapping? mapping)
    {
        mapping = null;
        return _regionMemory[region] is { } memory
            ? MemoryMapping.TryMap(memory, unchecked(_regionMemoryOffsets[region] + offset), (nuint)length, MemoryProtection.ReadWrite, out mapping)
            : Errno.EINVAL;
    }

    private Errno GetRegion(uint index, Span<byte> structure, out vfio_region_info raw, out int length, DescriptorList descriptors)
    {
        Span<byte> message = stackalloc byte[HeaderSize + RegionInfoSize];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_region_info { argsz = (uint)structure.Length, index = index });
        Errno error = _channel.Exchange(VfioUserCommand.DeviceGetRegionInfo, message, default, default, structure, default, out length, descriptors);
        raw = default;
        if (error != Errno.None)
        {
            return error;
        }

        if (length < RegionInfoSize)
        {
            return Errno.EPROTO;
        }

        raw = MemoryMarshal.Read<vfio_region_info>(structure);
        return Errno.None;
    }

    /// <summary>Whether memory behind a server's descriptor can be mapped without the server being able to take it away (threat 44).</summary>
    private bool IsMappable(FileDescriptor memory, ulong offset, RegionDescription description)
    {
        const ulong PageSize = 4096;
        if (_options.RegionMemory == DescriptorMemoryPolicy.NeverMap || memory.TryGetStatus(out FileStatus status) != Errno.None)
        {
            return false;
        }

        if (status.Kind is FileKind.CharacterDevice)
        {
            return _options.RegionMemory == DescriptorMemoryPolicy.Trusted;
        }

        if (status.Kind is not FileKind.Regular || !(_options.RegionMemory == DescriptorMemoryPolicy.Trusted || CannotShrink(memory)))
        {
            return false;
        }

        // The size is read again now that it cannot become smaller.
        if (memory.TryGetStatus(out status) != Errno.None)
        {
            return false;
        }

        ulong size = (status.Size + PageSize - 1) & ~(PageSize - 1);
        foreach (SparseArea area in description.MappableAreas)
        {
            // Area and file are both given in full by the server; where the sum wraps it is a place behind the file anyway.
            ulong start = unchecked(offset + area.Offset);
            if (((start | area.Offset) & (PageSize - 1)) != 0 || start > size || area.Size > size - start)
            {
                return false;
            }
        }

        return true;
    }

    private static bool CannotShrink(FileDescriptor memory)
        => MemFd.TryGetSeals(memory, out FileSeals seals) == Errno.None
            && ((seals & FileSeals.Shrink) != 0 || MemFd.TryAddSeals(memory, FileSeals.Shrink) == Errno.None);

    private const int DoorbellHeaderSize = 16;

    private Errno GetDoorbells(uint region, uint argsz, Span<byte> entries, out vfio_user_region_io_fds info, out int length, DescriptorList? descriptors)
    {
        Span<byte> message = stackalloc byte[HeaderSize + DoorbellHeaderSize];
        Span<byte> reply = stackalloc byte[DoorbellHeaderSize];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_user_region_io_fds { argsz = argsz, index = region });
        Errno error = _channel.Exchange(VfioUserCommand.DeviceGetRegionIoFds, message, default, default, reply, entries, out length, descriptors);
        info = default;
        length -= DoorbellHeaderSize;
        if (error != Errno.None)
        {
            return error;
        }

        if (length < 0 || length > entries.Length)
        {
            return Errno.EPROTO;
        }

        info = MemoryMarshal.Read<vfio_user_region_io_fds>(reply);
        return Errno.None;
    }
}
