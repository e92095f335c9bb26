using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    private const int AccessSize = 16;
    private vfio_user_region_access _currentAccess;

    /// <summary>Checks an access against the region table without overflow.</summary>
    private bool TryLocate(ulong offset, uint region, uint count, out ulong position)
    {
        if (region >= (uint)_regions.Length || count > _options.MaximumDataTransferSize)
        {
            position = 0;
            return false;
        }

        ref readonly RegionInfo info = ref _regions[region];
        position = info.Position + offset;
        return offset <= info.Size && count <= info.Size - offset;
    }

    private void RegionRead(ReadOnlySpan<byte> payload)
    {
        if (!TryRead(payload, out vfio_user_region_access access)
            || !TryLocate(access.offset, access.region, access.count, out ulong position))
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        Span<byte> reply = _writer.Begin(ReplyHeader, AccessSize + (int)access.count);
        MemoryMarshal.Write(reply, in access);

        // The buffer has held other answers, a large one those of other clients: what the device leaves out must not show them.
        reply[AccessSize..].Clear();
        IoResult result = access.count == 0 ? IoResult.Success() : _file!.Read(reply[AccessSize..], position);
        if (IsPosted || result.Value != access.count)
        {
            _writer.Cancel();
            ReplyError(result.IsError ? result.Error : Errno.EIO);
            return;
        }

        _writer.Commit();
        _replied = true;
    }

    private void RegionWrite(ReadOnlySpan<byte> payload)
    {
        if (!TryRead(payload, out vfio_user_region_access access)
            || (uint)(payload.Length - AccessSize) != access.count
            || !TryLocate(access.offset, access.region, access.count, out ulong position))
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        _currentAccess = access;
        IoResult result = access.count == 0 ? IoResult.Success() : _file!.Write(payload[AccessSize..], position);
        if (result.Value != access.count)
        {
            ReplyError(result.IsError ? result.Error : Errno.EIO);
        }
        else if (!IsPosted && !_replied)
        {
            Reply(payload[..AccessSize]);
        }
    }

    private void RegionWriteMulti(ReadOnlySpan<byte> payload)
    {
        const int CountSize = 8;
        const int EntrySize = 24;
        if (payload.Length < CountSize)
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        ulong count = BinaryPrimitives.ReadUInt64LittleEndian(payload);
        ReadOnlySpan<byte> entries = payload[CountSize..];
        if (count > (ulong)entries.Length / EntrySize || (int)count * EntrySize != entries.Length)
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        ulong done = 0;
        for (; done < count; done++)
        {
            ReadOnlySpan<byte> entry = entries.Slice((int)done * EntrySize, EntrySize);
            vfio_user_region_access access = MemoryMarshal.Read<vfio_user_region_access>(entry);
            if (access.count > 8 || !TryLocate(access.offset, access.region, access.count, out ulong position))
            {
                break;
            }

            if (access.count != 0 && _file!.Write(entry.Slice(AccessSize, (int)access.count), position).Value != access.count)
            {
                break;
            }
        }

        Span<byte> reply = stackalloc byte[CountSize];
        BinaryPrimitives.WriteUInt64LittleEndian(reply, done);
        Reply(reply);
    }

    /// <summary>
    /// Answers a write before its effects are complete, so that the device may send requests to the client from inside the handler: the
    /// client may serve nobody until it has its answer (spec vfio-user §1.6).
    /// </summary>
    /// <returns>False when the current command cannot be answered yet.</returns>
    private bool TryReplyEarly()
    {
        if (!_handling || _replied || IsPosted)
        {
            return true;
        }

        switch ((VfioUserCommand)_current.cmd)
        {
            case VfioUserCommand.RegionWrite:
                Reply(MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_user_region_access>(in _currentAccess)));
                _writer.Flush();
                return true;
            default:
                LogNestedDma(_deviceName);
                return false;
        }
    }

    private void DeviceGetInfo(ReadOnlySpan<byte> payload)
    {
        if (!TryRead(payload, out vfio_user_device_info info) || info.argsz < Marshal.SizeOf<vfio_user_device_info>())
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        Errno error = _file!.GetInfo(out DeviceInfo device);
        if (error != Errno.None)
        {
            ReplyError(error);
            return;
        }

        info.argsz = (uint)Marshal.SizeOf<vfio_user_device_info>();
        info.flags = (uint)(device.Flags & (DeviceFlags.Reset | DeviceFlags.Pci));
        info.num_regions = device.RegionCount;
        info.num_irqs = device.IrqCount;
        Reply(MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_user_device_info>(in info)));
    }

    private void DeviceGetRegionInfo(ReadOnlySpan<byte> payload)
    {
        const int Size = 32;
        if (!TryRead(payload, out vfio_region_info raw) || raw.argsz < Size || raw.index >= (uint)_regions.Length)
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        CapabilityChain chain = new();
        uint argsz = raw.argsz;
        if (_file!.GetRegionInfo(raw.index, out RegionInfo info, chain) != Errno.None)
        {
            info = new RegionInfo { Index = raw.index };
        }

        raw = new vfio_region_info
        {
            argsz = (uint)(Size + chain.Length),
            flags = (uint)(info.Flags & ~RegionFlags.Capabilities),
            index = info.Index,
            size = info.Size,
        };

        FileDescriptor? memory = null;
        if ((info.Flags & RegionFlags.Map) != 0 && !TryGetRegionMemory(info, chain, out memory, out raw.offset))
        {
            raw.flags &= ~(uint)RegionFlags.Map;
        }

        bool fits = argsz >= raw.argsz;
        byte[] reply = new byte[fits ? raw.argsz : Size];
        if (fits && chain.Length > 0)
        {
            raw.flags |= (uint)RegionFlags.Capabilities;
            raw.cap_offset = Size;
            chain.CopyTo(reply.AsSpan(Size), Size);
        }

        MemoryMarshal.Write(reply, in raw);

        // The descriptor goes with the answer that is complete (spec vfio-user §3.5).
        if (memory is not null && fits && _client.MaxMessageFds > 0)
        {
            Reply(reply, [memory]);
        }
        else
        {
            Reply(reply);
        }
    }

    /// <summary>Finds the one descriptor behind a mappable region, and where the region starts in it.</summary>
    private bool TryGetRegionMemory(RegionInfo info, CapabilityChain chain, out FileDescriptor? descriptor, out ulong offset)
    {
        descriptor = null;
        offset = 0;
        byte[] structure = new byte[32 + chain.Length];
        chain.CopyTo(structure.AsSpan(32), 32);
        info.Flags |= chain.Length > 0 ? RegionFlags.Capabilities : RegionFlags.None;
        if (RegionDescription.TryParse(info, structure, 32, out RegionDescription? description) != Errno.None)
        {
            return false;
        }

        foreach (SparseArea area in description!.MappableAreas)
        {
            MapRequest request = new(info.Position + area.Offset, area.Size, MemoryProtection.ReadWrite);
            if (_file!.Map(in request, out MappableMemory memory) != Errno.None || memory.Offset < area.Offset)
            {
                return false;
            }

            ulong start = memory.Offset - area.Offset;
            if (descriptor is not null && (!ReferenceEquals(descriptor, memory.Descriptor) || start != offset))
            {
                return false; // The wire has room for one descriptor and one offset.
            }

            descriptor = memory.Descriptor;
            offset = start;
        }

        return descriptor is not null;
    }

    private void DeviceGetRegionIoFds(ReadOnlySpan<byte> payload)
    {
        const int Size = 16;
        if (!TryRead(payload, out vfio_user_region_io_fds request)
            || request.flags != 0
            || request.count != 0
            || request.argsz < Size
            || request.argsz > _options.MaximumDataTransferSize
            || request.index >= (uint)_regions.Length
            || _regions[request.index].Flags == RegionFlags.None)
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        IReadOnlyList<RegionDoorbell> doorbells = _file!.GetDoorbells(request.index);
        int stride = _options.LongIoFdEntries
            ? Marshal.SizeOf<vfio_user_sub_region_shadow_ioeventfd>()
            : Marshal.SizeOf<vfio_user_sub_region_ioeventfd>();
        uint need = (uint)(Size + (doorbells.Count * stride));
        bool fits = request.argsz >= need;
        byte[] reply = new byte[fits ? need : Size];
        List<FileDescriptor> descriptors = [];
        if (fits)
        {
            for (int i = 0; i < doorbells.Count; i++)
            {
                WriteDoorbell(reply.AsSpan(Size + (i * stride), stride), doorbells[i], descriptors);
            }
        }

        request.argsz = need;
        request.count = (uint)doorbells.Count;
        MemoryMarshal.Write(reply, in request);
        if (descriptors.Count > _client.MaxMessageFds)
        {
            ReplyError(Errno.EMFILE);
        }
        else
        {
            Reply(reply, CollectionsMarshal.AsSpan(descriptors));
        }
    }

    private static void WriteDoorbell(Span<byte> entry, RegionDoorbell doorbell, List<FileDescriptor> descriptors)
    {
        const uint DataMatchFlag = 1;
        int index = descriptors.IndexOf(doorbell.Descriptor);
        if (index < 0)
        {
            index = descriptors.Count;
            descriptors.Add(doorbell.Descriptor);
        }

        entry.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(entry, doorbell.Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], doorbell.Size);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)index);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[20..], (uint)VfioUserIoFdType.IoEventFd);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[24..], doorbell.DataMatch is null ? 0 : DataMatchFlag);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[^8..], doorbell.DataMatch ?? 0);
    }
}
