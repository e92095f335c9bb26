using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>Where page faults wait for a user who answers them (iommufd's <c>iommufd_fault</c>).</summary>
/// <remarks>Spec iommufd §2.17. Its lock is a leaf; answers are passed on outside of it.</remarks>
public sealed class FaultQueue : IommufdObject
{
    private readonly Lock _lock = new();
    private readonly LinkedList<FaultGroup> _waiting = [];
    private readonly Dictionary<uint, FaultGroup> _delivered = [];
    private uint _lastCookie;

    internal FaultQueue(IommufdContext context)
        : base(context)
    {
    }

    /// <summary>Whether faults wait to be read.</summary>
    public bool IsReadable
    {
        get
        {
            lock (_lock)
            {
                return _waiting.Count > 0;
            }
        }
    }

    /// <summary>The file by which it is read, once there is one.</summary>
    internal EventFile? File { get; set; }

    /// <summary>Reads whole groups as records of <see cref="iommu_hwpt_pgfault"/>, as many as fit.</summary>
    /// <returns>Bytes, 0 when there are none; <see cref="Errno.EINVAL"/> when the first group does not fit.</returns>
    internal IoResult Read(Span<byte> buffer)
    {
        int done = 0;
        lock (_lock)
        {
            while (_waiting.First?.Value is { } group)
            {
                int size = group.Count * Unsafe.SizeOf<iommu_hwpt_pgfault>();
                if (size > buffer.Length - done)
                {
                    return done > 0 ? IoResult.Success(done) : Errno.EINVAL;
                }

                group.Cookie = NextCookie();
                for (int i = 0; i < group.Count; i++)
                {
                    iommu_hwpt_pgfault record = group.Record(i);
                    MemoryMarshal.Write(buffer[done..], in record);
                    done += Unsafe.SizeOf<iommu_hwpt_pgfault>();
                }

                _waiting.RemoveFirst();
                _delivered.Add(group.Cookie, group);
            }
        }

        return IoResult.Success(done);
    }

    /// <summary>Takes answers as records of <see cref="iommu_hwpt_page_response"/>, up to the first bad one.</summary>
    /// <returns>Bytes taken; <see cref="Errno.EINVAL"/> when the first record is bad.</returns>
    internal IoResult Write(ReadOnlySpan<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            iommu_hwpt_page_response response = MemoryMarshal.Read<iommu_hwpt_page_response>(buffer[done..]);
            FaultGroup? group = null;
            lock (_lock)
            {
                if (response.code > IommufdUapi.IOMMUFD_PAGE_RESP_INVALID || !_delivered.Remove(response.cookie, out group))
                {
                    return done > 0 ? IoResult.Success(done) : Errno.EINVAL;
                }
            }

            group.Respond((PageResponse)response.code);
            done += Unsafe.SizeOf<iommu_hwpt_page_response>();
        }

        return IoResult.Success(done);
    }

    /// <summary>Queues a group. The caller then calls <see cref="Notify"/> without its locks.</summary>
    internal void Add(FaultGroup group)
    {
        lock (_lock)
        {
            _waiting.AddLast(group);
        }
    }

    /// <summary>Wakes who waits for the queue's file.</summary>
    internal void Notify() => File?.Notify();

    /// <summary>Takes out what an attachment still waits for: it ends, or goes elsewhere. Whoever takes it answers it.</summary>
    internal IReadOnlyList<FaultGroup> Abandon(DeviceAttachment attachment)
    {
        lock (_lock)
        {
            List<FaultGroup> abandoned = [.. _waiting.Where(group => ReferenceEquals(group.Attachment, attachment))];
            abandoned.ForEach(group => _waiting.Remove(group));
            foreach (FaultGroup group in _delivered.Values.Where(group => ReferenceEquals(group.Attachment, attachment)).ToArray())
            {
                _delivered.Remove(group.Cookie);
                abandoned.Add(group);
            }

            return abandoned;
        }
    }

    internal override void Destroyed()
    {
        List<FaultGroup> left;
        lock (_lock)
        {
            left = [.. _waiting, .. _delivered.Values];
            _waiting.Clear();
            _delivered.Clear();
        }

        left.ForEach(static group => group.Respond(PageResponse.Invalid));
    }

    private uint NextCookie()
    {
        do
        {
            _lastCookie++;
        }
        while (_lastCookie == 0 || _delivered.ContainsKey(_lastCookie));
        return _lastCookie;
    }
}
