using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

public sealed partial class VfioDeviceFile
{
    /// <summary>Describes the device.</summary>
    /// <param name="info">Kind and counts.</param>
    /// <returns><see cref="Errno.None"/>, or what the device reported.</returns>
    /// <remarks>VFIO_DEVICE_GET_INFO.</remarks>
    public Errno GetInfo(out DeviceInfo info)
    {
        vfio_device_info raw = new() { argsz = (uint)Marshal.SizeOf<vfio_device_info>() };
        IoResult result = Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, new UserArgument(MemoryMarshal.AsBytes(new Span<vfio_device_info>(ref raw))));
        info = new DeviceInfo((DeviceFlags)raw.flags, raw.num_regions, raw.num_irqs);
        return result.Error;
    }

    /// <summary>Describes a region.</summary>
    /// <param name="index">Its index.</param>
    /// <param name="info">What it is.</param>
    /// <param name="capabilities">Receives its capabilities; cleared first.</param>
    /// <returns><see cref="Errno.None"/>, or what the device reported.</returns>
    /// <remarks>VFIO_DEVICE_GET_REGION_INFO (<c>vfio_get_region_info</c>).</remarks>
    public Errno GetRegionInfo(uint index, out RegionInfo info, CapabilityChain capabilities)
    {
        capabilities.Clear();
        info = new RegionInfo { Index = index };
        if (!_granted)
        {
            return Errno.EINVAL;
        }

        Errno error = _device.GetRegionInfo(ref info, capabilities);
        if (error != Errno.None)
        {
            capabilities.Clear();
        }
        else if (capabilities.Length > 0)
        {
            info.Flags |= RegionFlags.Capabilities;
        }

        return error;
    }

    /// <summary>Describes an interrupt index.</summary>
    /// <param name="index">The index.</param>
    /// <param name="info">What it is.</param>
    /// <returns><see cref="Errno.None"/>, or what the device reported.</returns>
    /// <remarks>VFIO_DEVICE_GET_IRQ_INFO.</remarks>
    public Errno GetIrqInfo(uint index, out IrqInfo info)
    {
        vfio_irq_info raw = new() { argsz = (uint)Marshal.SizeOf<vfio_irq_info>(), index = index };
        IoResult result = Ioctl(VfioUapi.VFIO_DEVICE_GET_IRQ_INFO, new UserArgument(MemoryMarshal.AsBytes(new Span<vfio_irq_info>(ref raw))));
        info = new IrqInfo(index, (IrqInfoFlags)raw.flags, raw.count);
        return result.Error;
    }

    /// <summary>Masks, unmasks or triggers interrupts without data.</summary>
    /// <param name="index">The interrupt index.</param>
    /// <param name="action">One action flag.</param>
    /// <param name="start">First interrupt.</param>
    /// <param name="count">How many; 0 with <see cref="IrqSetFlags.ActionTrigger"/> disables the index.</param>
    /// <returns>0, the number of available vectors when too many were asked, or an errno.</returns>
    /// <remarks>VFIO_DEVICE_SET_IRQS with DATA_NONE.</remarks>
    public IoResult SetIrqs(uint index, IrqSetFlags action, uint start, uint count)
        => SetIrqs(index, action | IrqSetFlags.DataNone, start, count, [], null);

    /// <summary>Sets the eventfds of interrupts.</summary>
    /// <param name="index">The interrupt index.</param>
    /// <param name="action">One action flag.</param>
    /// <param name="start">First interrupt.</param>
    /// <param name="eventFds">One descriptor for each interrupt, null to take it away. The device duplicates what it keeps.</param>
    /// <returns>0, the number of available vectors when too many were asked, or an errno.</returns>
    /// <remarks>VFIO_DEVICE_SET_IRQS with DATA_EVENTFD.</remarks>
    public IoResult SetIrqEventFds(uint index, IrqSetFlags action, uint start, ReadOnlySpan<FileDescriptor?> eventFds)
    {
        byte[] data = new byte[eventFds.Length * sizeof(int)];
        for (int i = 0; i < eventFds.Length; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(i * sizeof(int)), eventFds[i] is null ? -1 : i);
        }

        return SetIrqs(index, action | IrqSetFlags.DataEventFd, start, (uint)eventFds.Length, data, new DescriptorArray(eventFds.ToArray()));
    }

    /// <summary>Executes SET_IRQS with raw data.</summary>
    /// <param name="index">The interrupt index.</param>
    /// <param name="flags">Data and action flags, passed on as they are.</param>
    /// <param name="start">First interrupt.</param>
    /// <param name="count">How many.</param>
    /// <param name="data">The data behind the structure.</param>
    /// <param name="files">What descriptor numbers in the data mean.</param>
    /// <returns>0, the number of available vectors when too many were asked, or an errno.</returns>
    public IoResult SetIrqs(uint index, IrqSetFlags flags, uint start, uint count, ReadOnlySpan<byte> data, FileTable? files)
    {
        const int HeaderSize = 20;
        byte[] argument = new byte[HeaderSize + data.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(argument, (uint)argument.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(4), (uint)flags);
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(8), index);
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(12), start);
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(16), count);
        data.CopyTo(argument.AsSpan(HeaderSize));
        return Ioctl(VfioUapi.VFIO_DEVICE_SET_IRQS, new UserArgument(argument, files));
    }

    /// <summary>Resets the device.</summary>
    /// <returns><see cref="Errno.None"/>, or what the device reported.</returns>
    /// <remarks>VFIO_DEVICE_RESET.</remarks>
    public Errno Reset() => Ioctl(VfioUapi.VFIO_DEVICE_RESET, default).Error;

    /// <summary>Executes a device command in its binary form.</summary>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure and descriptors.</param>
    /// <returns>The ioctl's result, or an errno.</returns>
    /// <remarks><c>vfio_device_fops_unl_ioctl</c>; spec vfio-core §5.5 gives the order.</remarks>
    public override IoResult Ioctl(uint command, UserArgument argument)
    {
        if (command == VfioUapi.VFIO_DEVICE_BIND_IOMMUFD)
        {
            return BindCommand(argument);
        }

        if (!_granted)
        {
            return Errno.EINVAL;
        }

        return command switch
        {
            VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT when _group is null => AttachCommand(argument),
            VfioUapi.VFIO_DEVICE_DETACH_IOMMUFD_PT when _group is null => DetachCommand(argument),
            VfioUapi.VFIO_DEVICE_FEATURE => FeatureCommand(argument),
            VfioUapi.VFIO_DEVICE_GET_REGION_INFO => RegionInfoCommand(argument),
            VfioUapi.VFIO_DEVICE_RESET => ResetCommand(argument),
            _ => _device.Ioctl(command, argument),
        };
    }

    private IoResult ResetCommand(UserArgument argument)
    {
        IoResult result = _device.Ioctl(VfioUapi.VFIO_DEVICE_RESET, argument);
        if (!result.IsError)
        {
            // A reset is the way out of every migration state, ERROR included (spec vfio-core §6.1).
            _device.Migration?.Reset();
        }

        return result;
    }

    private IoResult BindCommand(UserArgument argument)
    {
        const int Minimum = 16;
        Errno error = argument.ReadExtensible(Minimum, out vfio_device_bind_iommufd bind, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        // The one structure whose unknown tail must be zero (spec vfio-core §5.4).
        uint known = (uint)Marshal.SizeOf<vfio_device_bind_iommufd>();
        for (ulong at = known; at < argsz; at++)
        {
            error = argument.Read(at, out byte tail);
            if (error != Errno.None || tail != 0)
            {
                return error != Errno.None ? error : Errno.E2BIG;
            }
        }

        if (bind.iommufd < 0 || (bind.flags & ~VfioUapi.VFIO_DEVICE_BIND_FLAG_TOKEN) != 0)
        {
            return Errno.EINVAL;
        }

        if (_granted || _group is not null)
        {
            return Errno.EINVAL;
        }

        Guid? token = null;
        if ((bind.flags & VfioUapi.VFIO_DEVICE_BIND_FLAG_TOKEN) != 0)
        {
            if (!_device.ChecksToken)
            {
                return Errno.EINVAL;
            }

            Span<byte> uuid = stackalloc byte[16];
            error = argument.At(bind.token_uuid_ptr).Read(0, uuid);
            if (error != Errno.None)
            {
                return error;
            }

            token = new Guid(uuid, bigEndian: true);
        }

        object? file = null;
        error = argument.Files?.TryGet(bind.iommufd, out file) ?? Errno.EBADF;
        if (error != Errno.None)
        {
            return error;
        }

        if (file is not Iommu.IommufdContext context)
        {
            return Errno.EBADFD;
        }

        error = Bind(context, out uint deviceId, token);
        if (error != Errno.None)
        {
            return error;
        }

        error = argument.Write(12, deviceId);
        if (error != Errno.None)
        {
            _granted = false;
            Unbind();
        }

        return error;
    }

    private IoResult AttachCommand(UserArgument argument)
    {
        Errno error = ReadAttach(argument, 12, out vfio_device_attach_iommufd_pt attach);
        if (error != Errno.None)
        {
            return error;
        }

        bool pasid = attach.flags != 0;
        error = pasid ? AttachPasid(attach.pasid, ref attach.pt_id) : Attach(ref attach.pt_id);
        if (error != Errno.None)
        {
            return error;
        }

        error = argument.Write(8, attach.pt_id);
        if (error != Errno.None)
        {
            // The kernel undoes a PASID attach with the wrong call here (spec vfio-core Q4); what was attached is detached instead.
            _ = pasid ? DetachPasid(attach.pasid) : Detach();
        }

        return error;
    }

    private Errno ReadAttach(UserArgument argument, int minimum, out vfio_device_attach_iommufd_pt attach)
    {
        Errno error = argument.ReadExtensible(minimum, out attach, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        if ((attach.flags & ~VfioUapi.VFIO_DEVICE_ATTACH_PASID) != 0)
        {
            return Errno.EINVAL;
        }

        if (attach.flags == 0)
        {
            return Errno.None;
        }

        if (!_device.SupportsPasid)
        {
            return Errno.EOPNOTSUPP;
        }

        return argsz < 16 ? Errno.EINVAL : Errno.None;
    }

    private IoResult DetachCommand(UserArgument argument)
    {
        Errno error = argument.ReadExtensible(8, out vfio_device_detach_iommufd_pt detach, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        if ((detach.flags & ~VfioUapi.VFIO_DEVICE_DETACH_PASID) != 0)
        {
            return Errno.EINVAL;
        }

        if (detach.flags == 0)
        {
            return Detach();
        }

        if (!_device.SupportsPasid)
        {
            return Errno.EOPNOTSUPP;
        }

        return argsz < 12 ? Errno.EINVAL : DetachPasid(detach.pasid);
    }

    private IoResult RegionInfoCommand(UserArgument argument)
    {
        const int Size = 32;
        Errno error = argument.ReadExtensible(Size, out vfio_region_info raw, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        CapabilityChain chain = new();
        error = GetRegionInfo(raw.index, out RegionInfo info, chain);
        if (error != Errno.None)
        {
            return error;
        }

        raw.flags = (uint)info.Flags;
        raw.size = info.Size;
        raw.offset = info.Position;
        if (chain.Length > 0)
        {
            // What the user says of its buffer stays, unless more is needed.
            uint total = (uint)(Size + chain.Length);
            raw.argsz = Math.Max(argsz, total);
            raw.cap_offset = 0;
            if (argsz >= total)
            {
                raw.cap_offset = Size;
                byte[] capabilities = new byte[chain.Length];
                chain.CopyTo(capabilities, Size);
                error = argument.Write(Size, capabilities);
                if (error != Errno.None)
                {
                    return error;
                }
            }
        }

        return argument.Write(0, in raw);
    }

    /// <summary>A table of the descriptors that one call passes: numbers are positions.</summary>
    private sealed class DescriptorArray(FileDescriptor?[] descriptors) : FileTable
    {
        public override Errno TryGet(int number, out object? file)
        {
            file = (uint)number < (uint)descriptors.Length ? descriptors[number] : null;
            return file is null ? Errno.EBADF : Errno.None;
        }

        public override IoResult Install(object file) => Errno.EMFILE;

        public override void Remove(int number)
        {
        }
    }
}
