using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Testing;

/// <summary>A virtual IOMMU of a <see cref="MockIommu"/>: two queues, a two-page region, and a cache for each device.</summary>
internal sealed class MockViommu(VirtualIommu viommu) : IVirtualIommuHardware
{
    private readonly MockQueue?[] _queues = new MockQueue?[2];
    private MemFd? _memory;
    private MappableOffer? _offer;

    public bool CanInvalidate => true;

    public Errno Start(UserData data)
    {
        if (data.Length == 0)
        {
            return Errno.None;
        }

        Errno error = data.Read(MockIommu.ViommuType, 8, out Data value);
        if (error != Errno.None)
        {
            return error;
        }

        _memory = new MemFd("viommu", 2 * 4096);
        IoResult written = _memory.Descriptor.WriteAt(BitConverter.GetBytes(value.In), 0);
        if (written.IsError)
        {
            return written.Error;
        }

        _offer = viommu.OfferMemory(_memory.Descriptor, 2 * 4096);
        value.Out = value.In;
        value.MapOffset = _offer.Position;
        value.MapLength = _offer.Length;
        return data.Write(in value);
    }

    public Errno CreateNestedDomain(DomainOptions options, UserData data, out INestedDomain? domain)
        => MockIommu.CreateNestedDomain(data, viommu, out domain);

    public Errno Invalidate(in InvalidationRequest request, out uint done)
    {
        done = 0;
        if (request.Type != MockIommu.InvalidateType)
        {
            return Errno.EINVAL;
        }

        for (; done < request.Count; done++)
        {
            Errno error = request.Read(done, 12, out Entry entry);
            if (error == Errno.None)
            {
                error = (entry.Flags & ~1u) != 0 ? Errno.EOPNOTSUPP
                    : entry.Cache > 3 || viommu.FindDevice(entry.Device) is not MockDevice device ? Errno.EINVAL
                    : device.Invalidate(entry.Flags == 1 ? null : entry.Cache);
            }

            if (error != Errno.None)
            {
                return error;
            }
        }

        return Errno.None;
    }

    public bool HasQueue(uint type) => type == MockIommu.QueueType;

    public Errno AddQueue(HardwareQueue queue, out IDisposable? state)
    {
        state = null;
        if (queue.Index >= _queues.Length)
        {
            return Errno.EINVAL;
        }

        if (_queues[queue.Index] is not null)
        {
            return Errno.EEXIST;
        }

        if (queue.Index > 0 && _queues[queue.Index - 1] is null)
        {
            return Errno.EIO;
        }

        MockQueue? below = queue.Index > 0 ? _queues[queue.Index - 1] : null;
        below?.Queue.AddDependent();
        state = _queues[queue.Index] = new MockQueue(this, queue, below);
        return Errno.None;
    }

    public void Dispose()
    {
        _offer?.Dispose();
        _memory?.Dispose();
    }

    private sealed class MockQueue(MockViommu owner, HardwareQueue queue, MockQueue? below) : IDisposable
    {
        public HardwareQueue Queue { get; } = queue;

        public void Dispose()
        {
            owner._queues[Queue.Index] = null;
            below?.Queue.RemoveDependent();
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct Data
    {
        public uint In;
        public uint Out;
        public ulong MapOffset;
        public ulong MapLength;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct Entry
    {
        public uint Flags;
        public uint Device;
        public uint Cache;
    }
}
