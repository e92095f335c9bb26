using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>Where events of a virtual IOMMU wait for its user; bounded, and it tells of what was lost (iommufd's <c>iommufd_veventq</c>).</summary>
/// <remarks>Spec iommufd §2.21. Its lock is a leaf.</remarks>
public sealed class VirtualEventQueue : IommufdObject
{
    private const uint SequenceMask = 0x7FFF_FFFF;
    private readonly Lock _lock = new();
    private readonly LinkedList<Event> _events = [];
    private readonly uint _depth;
    private uint _count;
    private uint _sequence;

    internal VirtualEventQueue(VirtualIommu viommu, uint type, uint depth)
        : base(viommu.Context)
    {
        VirtualIommu = viommu;
        Type = type;
        _depth = depth;
    }

    /// <summary>The virtual IOMMU, which the queue keeps.</summary>
    public VirtualIommu VirtualIommu { get; }

    /// <summary>The kind of events.</summary>
    public uint Type { get; }

    /// <summary>Whether events wait to be read.</summary>
    public bool IsReadable
    {
        get
        {
            lock (_lock)
            {
                return _events.Count > 0;
            }
        }
    }

    /// <summary>The file by which it is read, once there is one.</summary>
    internal EventFile? File { get; set; }

    /// <summary>Wakes who waits for the queue's file.</summary>
    internal void Notify() => File?.Notify();

    /// <summary>Adds an event; when the queue is full it notes that one was lost.</summary>
    internal void Add(ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            uint sequence = _sequence;
            _sequence = (_sequence + 1) & SequenceMask;

            // What was lost shows by the gap in the numbers too, so an event that follows replaces the note.
            if (_events.Last?.Value.Data is null && _events.Count > 0)
            {
                _events.RemoveLast();
            }

            bool fits = _count < _depth;
            _events.AddLast(new Event(sequence, fits ? data.ToArray() : null));
            _count += fits ? 1u : 0;
        }
    }

    /// <summary>Reads whole events, as many as fit.</summary>
    /// <returns>Bytes, 0 when there are none; <see cref="Errno.EINVAL"/> when the first one does not fit.</returns>
    internal IoResult Read(Span<byte> buffer)
    {
        int done = 0;
        int header = Unsafe.SizeOf<iommufd_vevent_header>();
        lock (_lock)
        {
            while (_events.First?.Value is { } first)
            {
                int size = header + (first.Data?.Length ?? 0);
                if (size > buffer.Length - done)
                {
                    return done > 0 ? IoResult.Success(done) : Errno.EINVAL;
                }

                iommufd_vevent_header head = new()
                {
                    flags = first.Data is null ? IommufdUapi.IOMMU_VEVENTQ_FLAG_LOST_EVENTS : 0,
                    sequence = first.Sequence,
                };
                MemoryMarshal.Write(buffer[done..], in head);
                first.Data?.CopyTo(buffer[(done + header)..]);
                _count -= first.Data is null ? 0u : 1;
                _events.RemoveFirst();
                done += size;
            }
        }

        return IoResult.Success(done);
    }

    internal override void Destroyed()
    {
        VirtualIommu.Remove(this);
        Context.Put(VirtualIommu);
    }

    private sealed record Event(uint Sequence, byte[]? Data);
}
