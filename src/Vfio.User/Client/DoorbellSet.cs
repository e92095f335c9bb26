using System.Buffers.Binary;
using System.Collections;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>The doorbells of a region of a vfio-user server. Dispose closes their eventfds.</summary>
public sealed class DoorbellSet : IReadOnlyList<RegionDoorbell>, IDisposable
{
    private const int HeaderSize = 16;
    private const int Stride = 40;
    private const int LongStride = 48;
    private const uint DataMatchFlag = 1;
    private readonly RegionDoorbell[] _doorbells;
    private readonly EventFd[] _eventFds;

    /// <param name="doorbells">The doorbells.</param>
    /// <param name="eventFds">The eventfd of each, owned by this object; several may share one.</param>
    internal DoorbellSet(RegionDoorbell[] doorbells, EventFd[] eventFds)
    {
        _doorbells = doorbells;
        _eventFds = eventFds;
    }

    /// <inheritdoc/>
    public int Count => _doorbells.Length;

    /// <inheritdoc/>
    public RegionDoorbell this[int index] => _doorbells[index];

    /// <summary>Rings a doorbell: the device does what the write of the register would do.</summary>
    /// <param name="index">0 to <see cref="Count"/> − 1.</param>
    /// <returns><see cref="Errno.None"/>, or why the eventfd could not be written.</returns>
    /// <remarks>Rings that come while the device has not heard the one before are one ring.</remarks>
    public Errno Ring(int index) => _eventFds[index].Signal();

    /// <inheritdoc/>
    public IEnumerator<RegionDoorbell> GetEnumerator() => ((IEnumerable<RegionDoorbell>)_doorbells).GetEnumerator();

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Closes the eventfds. Idempotent.</summary>
    public void Dispose()
    {
        foreach (EventFd eventFd in _eventFds)
        {
            eventFd.Dispose();
        }
    }

    /// <summary>Reads the entries of a reply. The size of one follows from the reply, since libvfio-user's are longer than specified.</summary>
    internal static Errno TryParse(vfio_user_region_io_fds info, ReadOnlySpan<byte> entries, DescriptorList descriptors, out DoorbellSet? doorbells)
    {
        doorbells = null;
        if (info.count == 0)
        {
            doorbells = new DoorbellSet([], []);
            return Errno.None;
        }

        ulong stride = (info.argsz - (ulong)HeaderSize) / info.count;
        if (stride is not (Stride or LongStride) || (ulong)entries.Length != stride * info.count || descriptors.Truncated)
        {
            return Errno.EPROTO;
        }

        List<RegionDoorbell> list = [];
        Errno error = Errno.None;
        List<EventFd> eventFds = [];
        Dictionary<uint, EventFd> taken = [];
        for (; !entries.IsEmpty && error == Errno.None; entries = entries[(int)stride..])
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(entries[20..]) != (uint)VfioUserIoFdType.IoEventFd)
            {
                continue;
            }

            uint index = BinaryPrimitives.ReadUInt32LittleEndian(entries[16..]);
            if (index == VfioUserWire.NoFdIndex)
            {
                continue; // A place without an eventfd: writes there are messages.
            }

            error = Take(index, descriptors, taken, out EventFd? eventFd);
            if (error == Errno.None)
            {
                bool matches = (BinaryPrimitives.ReadUInt32LittleEndian(entries[24..]) & DataMatchFlag) != 0;
                ulong data = BinaryPrimitives.ReadUInt64LittleEndian(entries[((int)stride - sizeof(ulong))..]);
                ulong size = BinaryPrimitives.ReadUInt64LittleEndian(entries[8..]);
                list.Add(new RegionDoorbell(
                    BinaryPrimitives.ReadUInt64LittleEndian(entries), (uint)Math.Min(size, uint.MaxValue), eventFd!.Descriptor, matches ? data : null));
                eventFds.Add(eventFd);
            }
        }

        if (error != Errno.None)
        {
            foreach (EventFd eventFd in taken.Values)
            {
                eventFd.Dispose();
            }

            return error;
        }

        doorbells = new DoorbellSet([.. list], [.. eventFds]);
        return Errno.None;
    }

    /// <summary>Several entries may share a descriptor.</summary>
    private static Errno Take(uint index, DescriptorList descriptors, Dictionary<uint, EventFd> taken, out EventFd? eventFd)
    {
        if (taken.TryGetValue(index, out eventFd))
        {
            return Errno.None;
        }

        FileDescriptor? descriptor = index < (uint)descriptors.Count ? descriptors.Take((int)index) : null;
        if (descriptor is null)
        {
            return Errno.EPROTO;
        }

        // Only an eventfd is written to: whatever else it is could make the caller wait.
        if (EventFd.TryAdopt(descriptor, out eventFd) != Errno.None)
        {
            descriptor.Dispose();
            return Errno.EPROTO;
        }

        taken.Add(index, eventFd!);
        return Errno.None;
    }
}
