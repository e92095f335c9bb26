using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>What one open of <c>/dev/iommu</c> is: a table of objects that belong to one user (<c>iommufd_ctx</c>).</summary>
/// <remarks>
/// Counted: the creator and every bound device hold it, and the objects are destroyed when the last of them lets go.
/// Lock order: the table lock is a leaf; no other lock is taken and no callback runs under it.
/// </remarks>
public sealed partial class IommufdContext : VfioFile
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<uint, IommufdObject> _objects = [];
    private readonly Func<CallerCapabilities> _capabilities;
    private int _holders = 1;
    private bool _accountByProcess;
    private uint _compatIoas;

    /// <summary>Opens a context.</summary>
    /// <param name="limits">What its users may make it hold; null for the defaults.</param>
    /// <param name="capabilities">What its user is privileged to, asked at each privileged command; null for everything.</param>
    public IommufdContext(IommufdLimits? limits = null, Func<CallerCapabilities>? capabilities = null)
    {
        Limits = limits ?? IommufdLimits.Default;
        _capabilities = capabilities ?? (static () => CallerCapabilities.All);
    }

    /// <summary>What its users may make it hold.</summary>
    public IommufdLimits Limits { get; }

    /// <summary>Number of live objects of all kinds.</summary>
    public int ObjectCount
    {
        get
        {
            lock (_lock)
            {
                return _objects.Count;
            }
        }
    }

    /// <summary>Makes an empty address space.</summary>
    /// <param name="ioas">The address space; its id is <see cref="IommufdObject.Id"/>.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENOMEM"/> when the context is full.</returns>
    /// <remarks>IOMMU_IOAS_ALLOC; spec iommufd §2.3.</remarks>
    public Errno AllocateIoas(out Ioas? ioas)
    {
        Ioas created = new(this);
        Errno error = Publish(created);
        ioas = error == Errno.None ? created : null;
        return error;
    }

    /// <summary>Destroys an object.</summary>
    /// <param name="id">Its id.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.ENOENT"/> for an unknown id; <see cref="Errno.EBUSY"/> while it is in use.</returns>
    /// <remarks>IOMMU_DESTROY; spec iommufd §1.3.</remarks>
    public Errno Destroy(uint id)
    {
        IommufdObject? target;
        lock (_lock)
        {
            if (!_objects.TryGetValue(id, out target))
            {
                return Errno.ENOENT;
            }

            if (target.Users != 1)
            {
                return Errno.EBUSY;
            }

            _objects.Remove(id);
            if (_compatIoas == id)
            {
                _compatIoas = 0;
            }
        }

        target.Destroyed();
        return Errno.None;
    }

    /// <summary>Finds an object and keeps it alive until <see cref="Put"/>.</summary>
    /// <typeparam name="T">The kind of object.</typeparam>
    /// <param name="id">Its id.</param>
    /// <param name="value">The object.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENOENT"/> when there is none of that kind and id.</returns>
    public Errno TryGet<T>(uint id, out T? value)
        where T : IommufdObject
    {
        lock (_lock)
        {
            if (_objects.TryGetValue(id, out IommufdObject? found) && found is T typed)
            {
                typed.Users++;
                value = typed;
                return Errno.None;
            }
        }

        value = null;
        return Errno.ENOENT;
    }

    /// <summary>Gives back what <see cref="TryGet{T}"/> took.</summary>
    /// <param name="value">The object.</param>
    public void Put(IommufdObject value)
    {
        lock (_lock)
        {
            value.Users--;
        }
    }

    /// <summary>Makes the device's end of a software DMA path; not attached to an address space yet.</summary>
    /// <param name="unmap">
    /// Asked to give back every pin in (iova, length) before memory goes away; null for an owner that never pins.
    /// </param>
    /// <param name="access">The access; the context stays open until its <see cref="IommufdAccess.Destroy"/>.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENOMEM"/> when the context is full.</returns>
    /// <remarks><c>iommufd_access_create</c>; spec iommufd §4.4.</remarks>
    public Errno CreateAccess(Action<ulong, ulong>? unmap, out IommufdAccess? access)
    {
        IommufdAccess created = new(this, unmap) { Users = 2 };
        Errno error = Publish(created);
        access = error == Errno.None ? created : null;
        if (error == Errno.None)
        {
            Interlocked.Increment(ref _holders);
        }

        return error;
    }

    /// <summary>Closes the user's handle. Objects go when the last device that is bound to the context has let go too.</summary>
    protected override void Close() => Release();

    internal void DestroyOwned(IommufdObject value)
    {
        lock (_lock)
        {
            if (!_objects.Remove(value.Id))
            {
                return;
            }
        }

        value.Destroyed();
        Release();
    }

    private Errno Publish(IommufdObject value)
    {
        lock (_lock)
        {
            if (_objects.Count >= Limits.MaximumObjects)
            {
                return Errno.ENOMEM;
            }

            uint id = 1;
            foreach (uint used in _objects.Keys)
            {
                if (used != id)
                {
                    break;
                }

                id++;
            }

            value.Id = id;
            _objects.Add(id, value);
            return Errno.None;
        }
    }

    private void Release()
    {
        if (Interlocked.Decrement(ref _holders) != 0)
        {
            return;
        }

        // Leaves first: an object with further users goes in a later pass, after those that hold it (spec iommufd §1.5).
        while (true)
        {
            List<IommufdObject> free = [];
            lock (_lock)
            {
                foreach (IommufdObject value in _objects.Values)
                {
                    if (value.Users == 1)
                    {
                        free.Add(value);
                    }
                }

                foreach (IommufdObject value in free)
                {
                    _objects.Remove(value.Id);
                }
            }

            if (free.Count == 0)
            {
                return;
            }

            foreach (IommufdObject value in free)
            {
                value.Destroyed();
            }
        }
    }
}
