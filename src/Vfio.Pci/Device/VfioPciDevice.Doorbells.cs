using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <content>Doorbells of the device, and eventfds that a user ties to register writes (IOEVENTFD, spec vfio-core §5.11).</content>
public abstract partial class VfioPciDevice
{
    private const int MaxIoEventFds = 1000;

    /// <summary>As in <see cref="PciInterrupts"/>: rings are noticed without reading a counter that the peer shares.</summary>
    private const EventLoopEvents EdgeTriggeredRead = EventLoopEvents.Read | unchecked((EventLoopEvents)(1U << 31));

    private readonly Lock _ioEventFdLock = new();
    private readonly List<IoEventFd> _ioEventFds = [];

    /// <inheritdoc/>
    protected sealed override IReadOnlyList<RegionDoorbell> GetDoorbells(uint region)
    {
        if (region >= 6 || _bars[region] is not { Doorbells.Length: > 0 } bar)
        {
            return [];
        }

        return [.. bar.Doorbells.Select(static bell => new RegionDoorbell(bell.Offset, (uint)bell.Width, bell.EventFd!.Descriptor, bell.DataMatch))];
    }

    private void StartDoorbells()
    {
        foreach (PciDoorbell bell in Configuration.Doorbells)
        {
            bell.EventFd = new EventFd();
            bell.Ring = new DeferredCall(() => Ring(bell));
            DeferredCall ring = bell.Ring;
            bell.Registration = Host.EventLoop.Register(bell.EventFd.Descriptor, EdgeTriggeredRead, _ => ring.Post());
        }
    }

    private void StopDoorbells()
    {
        foreach (PciDoorbell bell in _configuration?.Doorbells ?? [])
        {
            bell.Registration?.Dispose();
            bell.EventFd?.Dispose();
        }
    }

    private void Ring(PciDoorbell bell)
    {
        lock (StateLock)
        {
            if (!_released)
            {
                bell.Callback(bell.DataMatch);
            }
        }
    }

    private IoResult SetIoEventFd(UserArgument argument)
    {
        const int Minimum = 28;
        Errno error = argument.ReadExtensible(Minimum, out vfio_device_ioeventfd request, out _);
        if (error != Errno.None)
        {
            return error;
        }

        uint region = PciLayout.Region(request.offset);
        ulong offset = PciLayout.Offset(request.offset);
        int width = (int)request.flags;
        if (request.flags is not (1 or 2 or 4 or 8)
            || request.fd < -1
            || region >= 6
            || _bars[region] is not { } bar
            || offset >= bar.Size
            || (ulong)width > bar.Size - offset
            || OverlapsMsixTable(bar, offset, (ulong)width))
        {
            return Errno.EINVAL;
        }

        lock (_ioEventFdLock)
        {
            int found = _ioEventFds.FindIndex(entry => entry.IsSame((int)region, offset, width, request.data));
            if (found >= 0)
            {
                if (request.fd != -1)
                {
                    return Errno.EEXIST;
                }

                _ioEventFds[found].Dispose();
                _ioEventFds.RemoveAt(found);
                return IoResult.Success();
            }

            if (request.fd == -1)
            {
                return Errno.ENODEV;
            }

            if (_ioEventFds.Count >= MaxIoEventFds)
            {
                return Errno.ENOSPC;
            }

            return AddIoEventFd((int)region, offset, width, request.data, request.fd, argument.Files);
        }
    }

    private IoResult AddIoEventFd(int bar, ulong offset, int width, ulong data, int number, FileTable? files)
    {
        Errno error = PciInterrupts.TakeEventFd(number, files, out EventFd? eventFd);
        if (error != Errno.None)
        {
            return error;
        }

        var entry = new IoEventFd(bar, offset, width, data, eventFd!);
        var write = new DeferredCall(() => WriteByEventFd(entry));
        error = Host.EventLoop.TryRegister(entry.EventFd.Descriptor, EdgeTriggeredRead, _ => write.Post(), out IDisposable? registration);
        if (error != Errno.None)
        {
            entry.Dispose();
            return error;
        }

        entry.Registration = registration;
        _ioEventFds.Add(entry);
        return IoResult.Success();
    }

    private void WriteByEventFd(IoEventFd entry)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, entry.Data);

        // An error means that decoding is off: the write is dropped, as on a bus.
        _ = WriteBar(entry.Bar, entry.Offset, bytes[..entry.Width]);
    }

    private void ClearIoEventFds()
    {
        lock (_ioEventFdLock)
        {
            foreach (IoEventFd entry in _ioEventFds)
            {
                entry.Dispose();
            }

            _ioEventFds.Clear();
        }
    }

    private static bool OverlapsMsixTable(PciBar bar, ulong offset, ulong width)
        => bar.HoldsMsixTable && bar.Areas[0].Offset < offset + width && offset < bar.Areas[0].End;
}
