using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Architecture.Tests.Readme;

/// <summary>A page of memory that a user reads and writes, and that the device copies to an address it is told: no PCI, every callback.</summary>
public sealed class ScratchDevice : VfioDevice
{
    public const int Size = 4096;
    private const ulong CopyRegister = Size;   // behind the memory: a write of an IOVA copies the memory there, then interrupts
    private readonly Lock _lock = new();
    private readonly byte[] _memory = new byte[Size];
    private readonly ScratchMigration _migration;
    private readonly ScratchLog _log = new();
    private EventFd? _interrupt;

    public ScratchDevice() => _migration = new ScratchMigration(this);

    protected override IVfioMigration? Migration => _migration;

    protected override IVfioDirtyLog? DirtyLog => _log;

    // Opening: the first user gets a clean device, the last one leaves nothing behind.
    protected override Errno OnOpen()
    {
        lock (_lock)
        {
            Array.Clear(_memory);
            return Errno.None;
        }
    }

    protected override void OnClose()
    {
        _ = _log.Stop();
        lock (_lock)
        {
            _interrupt?.Dispose();
            _interrupt = null;
        }
    }

    // Access: one region, whose position in the file is its offset.
    protected override Errno GetRegionInfo(ref RegionInfo info, CapabilityChain capabilities)
    {
        if (info.Index != 0)
        {
            return Errno.EINVAL;
        }

        info.Flags = RegionFlags.Read | RegionFlags.Write;
        info.Size = Size + sizeof(ulong);
        return Errno.None;
    }

    protected override IoResult Read(Span<byte> buffer, ulong position)
    {
        if (position >= Size)
        {
            return Errno.EINVAL;
        }

        lock (_lock)
        {
            int count = Math.Min(buffer.Length, Size - (int)position);
            _memory.AsSpan((int)position, count).CopyTo(buffer);
            return IoResult.Success(count);
        }
    }

    protected override IoResult Write(ReadOnlySpan<byte> buffer, ulong position)
    {
        if (position == CopyRegister && buffer.Length == sizeof(ulong))
        {
            CopyTo(BinaryPrimitives.ReadUInt64LittleEndian(buffer));
            return IoResult.Success(buffer.Length);
        }

        if (position >= Size)
        {
            return Errno.EINVAL;
        }

        lock (_lock)
        {
            int count = Math.Min(buffer.Length, Size - (int)position);
            buffer[..count].CopyTo(_memory.AsSpan((int)position));
            return IoResult.Success(count);
        }
    }

    // Commands: information, interrupts, reset. Everything else is none of this device's.
    protected override IoResult Ioctl(uint command, UserArgument argument) => command switch
    {
        VfioUapi.VFIO_DEVICE_GET_INFO => GetInfo(argument),
        VfioUapi.VFIO_DEVICE_GET_IRQ_INFO => GetIrqInfo(argument),
        VfioUapi.VFIO_DEVICE_SET_IRQS => SetIrqs(argument),
        VfioUapi.VFIO_DEVICE_RESET => Reset(),
        _ => Errno.ENOTTY,
    };

    private static IoResult GetInfo(UserArgument argument)
    {
        Errno error = argument.ReadExtensible(16, out vfio_device_info info, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        info.flags = (uint)(DeviceFlags.Platform | DeviceFlags.Reset);
        (info.num_regions, info.num_irqs, info.cap_offset) = (1, 1, 0);
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_device_info>(in info));
        return argument.Write(0, bytes[..(int)Math.Min(argsz, (uint)bytes.Length)]);
    }

    private static IoResult GetIrqInfo(UserArgument argument)
    {
        Errno error = argument.ReadExtensible(16, out vfio_irq_info info, out _);
        if (error != Errno.None || info.index != 0)
        {
            return error != Errno.None ? error : Errno.EINVAL;
        }

        (info.flags, info.count) = ((uint)IrqInfoFlags.EventFd, 1);
        return argument.Write(0, in info);
    }

    private IoResult SetIrqs(UserArgument argument)
    {
        Errno error = IrqSetRequest.TryRead(argument, [1], out IrqSetRequest request);
        if (error != Errno.None)
        {
            return error;
        }

        if (request.Action != IrqSetFlags.ActionTrigger || request.Data == IrqSetFlags.DataBool)
        {
            return Errno.ENOTTY;
        }

        Span<int> number = stackalloc int[(int)request.Count];
        error = request.ReadData(argument, number);
        EventFd? eventFd = null;
        if (error == Errno.None && request.Data == IrqSetFlags.DataEventFd && request.Count == 1 && number[0] >= 0)
        {
            error = Take(argument.Files, number[0], out eventFd);
        }

        if (error != Errno.None)
        {
            return error;
        }

        lock (_lock)
        {
            _interrupt?.Dispose();
            _interrupt = eventFd;
        }

        return IoResult.Success();
    }

    private static Errno Take(FileTable? files, int number, out EventFd? eventFd)
    {
        eventFd = null;
        if (files is null || files.TryGet(number, out object? file) != Errno.None || file is not FileDescriptor descriptor)
        {
            return Errno.EBADF;
        }

        Errno error = descriptor.TryDuplicate(out FileDescriptor? own);
        return error != Errno.None ? error : EventFd.TryAdopt(own!, out eventFd);
    }

    private IoResult Reset()
    {
        lock (_lock)
        {
            Array.Clear(_memory);
            return IoResult.Success();
        }
    }

    // DMA: no lock is held around it, since it may wait for the user.
    private void CopyTo(ulong iova)
    {
        byte[] copy;
        lock (_lock)
        {
            copy = [.. _memory];
        }

        if (Dma.Write(iova, copy) == Errno.None)
        {
            _log.Add(iova, Size);
        }

        lock (_lock)
        {
            _ = _interrupt?.Signal();
        }
    }

    internal byte[] Save()
    {
        lock (_lock)
        {
            return [.. _memory];
        }
    }

    internal void Load(ReadOnlySpan<byte> saved)
    {
        lock (_lock)
        {
            saved.CopyTo(_memory);
        }
    }
}
