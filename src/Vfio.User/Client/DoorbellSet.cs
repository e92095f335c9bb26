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

    internal DoorbellSet(RegionDoorbell[] doorbells)
    {
        _doorbells = doorbells;
    }

    /// <inheritdoc/>
    public int Count => _doorbells.Length;

    /// <inheritdoc/>
    public RegionDoorbell this[int index] => _doorbells[index];

    /// <summary>Rings a doorbell: the device does what the write of the register would do.</summary>
    /// <param name="index">0 to <see cref="Count"/> − 1.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EAGAIN"/> when the device has not heard very many rings before it.</returns>
    /// <remarks>Rings that come while the device has not heard the one before are one ring.</remarks>
    public Errno Ring(int index)
    {
        Span<byte> one = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(one, 1);
        return _doorbells[index].Descriptor.Write(one).Error;
    }

    /// <inheritdoc/>
    public IEnumerator<RegionDoorbell> GetEnumerator() => ((IEnumerable<RegionDoorbell>)_doorbells).GetEnumerator();

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Closes the eventfds. Idempotent.</summary>
    public void Dispose()
    {
        foreach (RegionDoorbell doorbell in _doorbells)
        {
            doorbell.Descriptor.Dispose();
        }
    }

    /// <summary>Reads the entries of a reply. The size of one follows from the reply, since libvfio-user's are longer than specified.</summary>
    internal static Errno TryParse(vfio_user_region_io_fds info, ReadOnlySpan<byte> entries, DescriptorList descriptors, out DoorbellSet? doorbells)
    {
        doorbells = null;
        if (info.count == 0)
        {
            doorbells = new DoorbellSet([]);
            return Errno.None;
        }

        ulong stride = (info.argsz - (ulong)HeaderSize) / info.count;
        if (stride is not (Stride or LongStride) || (ulong)entries.Length != stride * info.count || descriptors.Truncated)
        {
            return Errno.EPROTO;
        }

        List<RegionDoorbell> list = [];
        Errno error = Errno.None;
        Dictionary<uint, FileDescriptor> taken = [];
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

            error = Take(index, descriptors, taken, out FileDescriptor? eventFd);
            if (error == Errno.None)
            {
                bool matches = (BinaryPrimitives.ReadUInt32LittleEndian(entries[24..]) & DataMatchFlag) != 0;
                ulong data = BinaryPrimitives.ReadUInt64LittleEndian(entries[((int)stride - sizeof(ulong))..]);
                ulong size = BinaryPrimitives.ReadUInt64LittleEndian(entries[8..]);
                list.Add(new RegionDoorbell(
                    BinaryPrimitives.ReadUInt64LittleEndian(entries), (uint)Math.Min(size, uint.MaxValue), eventFd!, matches ? data : null));
            }
        }

        if (error != Errno.None)
        {
            foreach (FileDescriptor descriptor in taken.Values)
            {
                descriptor.Dispose();
            }

            return error;
        }

        doorbells = new DoorbellSet([.. list]);
        return Errno.None;
    }

    /// <summary>Several entries may share a descriptor.</summary>
    private static Errno Take(uint index, DescriptorList descriptors, Dictionary<uint, FileDescriptor> taken, out FileDescriptor? eventFd)
    {
        if (taken.TryGetValue(index, out eventFd))
        {
            return Errno.None;
        }

        // Only an eventfd is written to: whatever else it is could make the caller wait.
        if (index >= (uint)descriptors.Count || descriptors[(int)index]?.IsEventFd() != true)
        {
            return Errno.EPROTO;
        }

        eventFd = descriptors.Take((int)index);
        taken.Add(index, eventFd!);
        return eventFd!.TrySetNonBlocking();
    }
}
