using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>What one open of <c>/dev/iommu</c> is: a table of objects that belong to one user (<c>iommufd_ctx</c>).</summary>
/// <remarks>
/// Counted: the creator, every bound device and the files of its queues hold it, and the objects are destroyed when the last of them
/// lets go. Lock order: the table lock is a leaf; no other lock is taken and no callback runs under it.
/// </remarks>
public sealed partial class IommufdContext : VfioFile
{
    private static readonly TimeSpan s_drainTime = TimeSpan.FromSeconds(60);
    private readonly Lock _lock = new();
    private readonly SortedDictionary<uint, IommufdObject> _objects = [];
    private readonly Func<IommufdCaller> _caller;
    private int _holders = 1;
    private bool _accountByProcess;
    private uint _compatIoas;

    /// <summary>Opens a context.</summary>
    /// <param name="limits">What its users may make it hold; null for the defaults.</param>
    /// <param name="caller">Who its user is, asked at each privileged command and at each map; null for <see cref="IommufdCaller.Unlimited"/>.</param>
    public IommufdContext(IommufdLimits? limits = null, Func<IommufdCaller>? caller = null)
    {
        Limits = limits ?? IommufdLimits.Default;
        _caller = caller ?? (static () => IommufdCaller.Unlimited);
    }

    /// <summary>What its users may make it hold.</summary>
    public IommufdLimits Limits { get; }

    /// <summary>Commands besides iommufd's own; null for none.</summary>
    public IIommufdExtension? Extension { get; init; }

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
            if (!_objects.TryGetValue(id, out target) || target is Tombstone || target.IsLeaving)
            {
                return Errno.ENOENT;
            }

            if (!TakeOut(target))
            {
                return Errno.EBUSY;
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
            if (_objects.TryGetValue(id, out IommufdObject? found) && found is T typed && found is not Tombstone && !found.IsLeaving)
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
        IommufdAccess created = new(this, unmap);
        Errno error = PublishOwned(created);
        access = error == Errno.None ? created : null;
        return error;
    }

    /// <summary>Makes an access that belongs to another object of the context, and so does not hold the context.</summary>
    internal Errno CreateInternalAccess(out IommufdAccess? access)
    {
        IommufdAccess created = new(this, static (_, _) => { }) { Users = 2, HoldsContext = false };
        Errno error = Publish(created);
        access = error == Errno.None ? created : null;
        return error;
    }

    /// <summary>Closes the user's handle. Objects go when the last device that is bound to the context has let go too.</summary>
    protected override void Close() => Release();

    /// <summary>Keeps the context for a file or a device; undone by <see cref="Release"/>.</summary>
    internal void Hold() => Interlocked.Increment(ref _holders);

    /// <summary>Adds a user to an object that is still in the table.</summary>
    /// <returns>False when it is being destroyed.</returns>
    internal bool TryKeep(IommufdObject value)
    {
        lock (_lock)
        {
            bool present = Contains(value);
            value.Users += present ? 1 : 0;
            return present;
        }
    }

    /// <summary>Adds a user to an object that the caller keeps alive already.</summary>
    internal void AddUser(IommufdObject value)
    {
        lock (_lock)
        {
            value.Users++;
        }
    }

    /// <summary>Puts an object that its owner, a driver, keeps in the table: users can't destroy it, and it holds the context.</summary>
    internal Errno PublishOwned(IommufdObject value)
    {
        value.Users = 2;
        Errno error = Publish(value);
        if (error == Errno.None && value.HoldsContext)
        {
            Hold();
        }

        return error;
    }

    /// <summary>Takes an owned object out once nobody is looking at it, and lets the context go.</summary>
    /// <remarks>REMOVE_WAIT (spec iommufd §1.3): after a minute it stays in the table, unseen, until the context closes.</remarks>
    internal void DestroyOwned(IommufdObject value)
    {
        SpinWait spin = default;
        long started = TimeProvider.System.GetTimestamp();
        while (true)
        {
            lock (_lock)
            {
                value.IsLeaving = true;
                if (value.Users <= 2)
                {
                    if (!Contains(value))
                    {
                        return;
                    }

                    _objects.Remove(value.Id);
                    break;
                }
            }

            if (TimeProvider.System.GetElapsedTime(started) > s_drainTime)
            {
                return;
            }

            spin.SpinOnce();
        }

        value.Destroyed();
        if (value.HoldsContext)
        {
            Release();
        }
    }

    /// <summary>Frees an id that was taken for an object that did not come to be.</summary>
    internal void Abort(IommufdObject value)
    {
        lock (_lock)
        {
            _objects.Remove(value.Id);
        }
    }

    /// <summary>Drops one user of an object and destroys it when only the table is left.</summary>
    /// <remarks><c>iommufd_object_put_and_try_destroy</c>: when somebody looks at it just now, it stays.</remarks>
    internal void PutAndTryDestroy(IommufdObject value)
    {
        Put(value);
        Discard(value);
    }

    /// <summary>Puts an id out of use for ever.</summary>
    internal void Bury(IommufdObject value)
    {
        lock (_lock)
        {
            if (Contains(value))
            {
                _objects[value.Id] = new Tombstone(this) { Id = value.Id };
            }
        }
    }

    internal Errno Publish(IommufdObject value)
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

    internal void Release()
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

    /// <summary>Destroys an object that only the table keeps; one that somebody uses, or destroyed already, is left alone.</summary>
    internal void Discard(IommufdObject value)
    {
        lock (_lock)
        {
            if (!TakeOut(value))
            {
                return;
            }
        }

        value.Destroyed();
    }

    /// <summary>Whether an object is in the table: its id may be another's by now. The caller holds the lock.</summary>
    private bool Contains(IommufdObject value) => _objects.TryGetValue(value.Id, out IommufdObject? found) && ReferenceEquals(found, value);

    /// <summary>Takes an object out of the table that only the table keeps. The caller holds the lock.</summary>
    private bool TakeOut(IommufdObject value)
    {
        if (value.Users != 1 || !Contains(value))
        {
            return false;
        }

        _objects.Remove(value.Id);

        if (_compatIoas == value.Id)
        {
            _compatIoas = 0;
        }

        return true;
    }

    /// <summary>Says who is charged for a source's pages, when they are pinned.</summary>
    internal void Label(MemorySource source)
    {
        IommufdCaller caller = _caller();
        AccountingMode mode = (caller.Capabilities & CallerCapabilities.IpcLock) != 0 ? AccountingMode.None
            : _accountByProcess ? AccountingMode.Process
            : AccountingMode.User;
        source.Label(caller.Account, mode);
        Extension?.Mapping(source);
    }
}
