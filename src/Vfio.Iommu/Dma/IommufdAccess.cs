using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>
/// The device's end of an address space: software DMA by copying and by pinning, with a notification before memory goes away
/// (iommufd's access object).
/// </summary>
/// <remarks>
/// Lock order: this object's lock, then the IOAS's. The unmap callback runs with no lock held; during a detach the address space is
/// already gone for new pins and transfers, while leases can still be given back (spec iommufd §4.4, §4.5).
/// </remarks>
public sealed class IommufdAccess : IommufdObject, IDmaPath
{
    [ThreadStatic]
    private static IommufdAccess? s_notified;
    private readonly Lock _lock = new();
    private readonly Action<ulong, ulong>? _unmap;
    private volatile Ioas? _ioas;
    private Ioas? _next;
    private bool _changing;
    private int _notifications;
    private volatile bool _destroyed;

    internal IommufdAccess(IommufdContext context, Action<ulong, ulong>? unmap)
        : base(context)
    {
        _unmap = unmap;
    }

    /// <summary>Whether the owner may pin; the address space is then page aligned.</summary>
    public bool NeedsPages => _unmap is not null;

    /// <inheritdoc/>
    public bool IsAttached => _ioas is not null;

    /// <summary>The address space, or null while there is none.</summary>
    public Ioas? AddressSpace => _ioas;

    /// <summary>Connects to an address space; when connected already, moves to it.</summary>
    /// <param name="ioasId">The id of an IOAS of the same context.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOENT"/> when the id is no IOAS; <see cref="Errno.EADDRINUSE"/> when its mappings
    /// are not page aligned and the owner pins; <see cref="Errno.EBUSY"/> while another change is under way.
    /// </returns>
    /// <remarks>
    /// <c>iommufd_access_attach</c>, <c>iommufd_access_replace</c>. A move to another address space calls the owner's unmap once with
    /// (0, 2⁶⁴−1); the old attachment stays when the new one fails.
    /// </remarks>
    public Errno AttachOrReplace(uint ioasId)
    {
        Ioas? old;
        lock (_lock)
        {
            if (_changing)
            {
                return Errno.EBUSY;
            }

            Errno error = Context.TryGet(ioasId, out Ioas? ioas);
            if (error != Errno.None)
            {
                return error;
            }

            old = _ioas;
            if (ReferenceEquals(old, ioas))
            {
                Context.Put(ioas!);
                return Errno.None;
            }

            error = ioas!.Join(this);
            if (error != Errno.None)
            {
                Context.Put(ioas);
                return error;
            }

            if (old is null)
            {
                _ioas = ioas;
                return Errno.None;
            }

            _ioas = null;
            _changing = true;
            _next = ioas;
        }

        LeaveOld(old);
        return Errno.None;
    }

    /// <summary>Disconnects; without a connection it does nothing. The owner's unmap is called once with (0, 2⁶⁴−1).</summary>
    /// <remarks><c>iommufd_access_detach</c>.</remarks>
    public void Detach()
    {
        Ioas? old;
        lock (_lock)
        {
            old = _ioas;
            if (old is null || _changing)
            {
                return;
            }

            _ioas = null;
            _changing = true;
            _next = null;
        }

        LeaveOld(old);
    }

    /// <summary>Ends the access: detaches and leaves the context. Afterwards no callback runs.</summary>
    /// <remarks><c>iommufd_access_destroy</c>.</remarks>
    public void Destroy()
    {
        Detach();
        _destroyed = true;
        Interlocked.MemoryBarrier();

        // An unmap on another thread may have listed this access before it left. It may be this thread's own callback that destroys.
        int own = ReferenceEquals(s_notified, this) ? 1 : 0;
        SpinWait spin = default;
        while (Volatile.Read(ref _notifications) > own)
        {
            spin.SpinOnce();
        }

        Context.DestroyOwned(this);
    }

    /// <summary>Copies from the address space.</summary>
    /// <param name="iova">First address; any alignment.</param>
    /// <param name="destination">Receives the bytes; not empty.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> for length 0 or an area that is being unmapped; <see cref="Errno.EOVERFLOW"/>;
    /// <see cref="Errno.ENOENT"/> when not attached or at a hole; <see cref="Errno.EPERM"/> for a missing right; what the memory reported.
    /// </returns>
    /// <remarks><c>iommufd_access_rw</c>. Not atomic: bytes before a failing area have been copied. Allocates nothing.</remarks>
    public Errno Read(ulong iova, Span<byte> destination) => DmaTransfer.Read(new Translation(this), iova, destination);

    /// <summary>Copies to the address space.</summary>
    /// <param name="iova">First address; any alignment.</param>
    /// <param name="source">The bytes; not empty.</param>
    /// <returns>As for <see cref="Read"/>.</returns>
    /// <remarks><c>iommufd_access_rw</c> with WRITE. Not atomic. Allocates nothing.</remarks>
    public Errno Write(ulong iova, ReadOnlySpan<byte> source) => DmaTransfer.Write(new Translation(this), iova, source);

    /// <summary>Opens a window onto memory that one area shows and that can be reached directly.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="access">What the owner will do.</param>
    /// <param name="window">The window; dispose it exactly once when this succeeded.</param>
    /// <returns>
    /// As for <see cref="Read"/>; <see cref="Errno.EOPNOTSUPP"/> when the range spans areas or the memory can only be copied: use
    /// <see cref="Read"/> or <see cref="Write"/> then.
    /// </returns>
    public Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out DmaWindow window)
        => DmaTransfer.TryOpenWindow(new Translation(this), iova, length, access, out window);

    /// <summary>Pins memory.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="access">What the owner will do with it.</param>
    /// <param name="pin">The lease.</param>
    /// <returns>As for <see cref="Read"/>, all or nothing; <see cref="Errno.EINVAL"/> when the owner handles no unmap; <see cref="Errno.EOPNOTSUPP"/> when the memory can only be copied.</returns>
    /// <remarks><c>iommufd_access_pin_pages</c>.</remarks>
    public Errno TryPin(ulong iova, ulong length, DmaAccess access, out DmaPin? pin)
    {
        Errno error = TryPin(iova, length, access, byPointer: true, out AreaPin? pinned);
        pin = pinned;
        return error;
    }

    /// <summary>As the other one; by request also where there is no pointer, for an owner that is content with the pages being there.</summary>
    internal Errno TryPin(ulong iova, ulong length, DmaAccess access, bool byPointer, out AreaPin? pin)
    {
        pin = null;
        if (!NeedsPages || length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, length, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        // Under the lock, so that a pin is either seen by the unmap callback of a detach or refused.
        lock (_lock)
        {
            Ioas? ioas = _ioas;
            if (ioas is null)
            {
                return Errno.ENOENT;
            }

            Errno error = ioas.Map.Pin(range, access, locks: false, byPointer, out DmaPinSegment[] segments);
            if (error == Errno.None)
            {
                pin = new AreaPin(ioas.Map, range, segments);
            }

            return error;
        }
    }

    internal void NotifyUnmap(ulong iova, ulong length)
    {
        if (_unmap is null)
        {
            return;
        }

        IommufdAccess? outer = s_notified;
        s_notified = this;
        Interlocked.Increment(ref _notifications);
        try
        {
            if (!_destroyed)
            {
                _unmap(iova, length);
            }
        }
        finally
        {
            Interlocked.Decrement(ref _notifications);
            s_notified = outer;
        }
    }

    internal override void Destroyed()
    {
    }

    private void LeaveOld(Ioas old)
    {
        NotifyUnmap(0, ulong.MaxValue);
        old.Leave(this);
        Context.Put(old);
        lock (_lock)
        {
            _ioas = _next;
            _next = null;
            _changing = false;
        }
    }

    private Errno Enter(ulong iova, DmaAccess access, out IovaArea? area)
    {
        Ioas? ioas = _ioas;
        if (ioas is null)
        {
            area = null;
            return Errno.ENOENT;
        }

        area = ioas.Map.Enter(iova);
        if (area is null)
        {
            return Errno.ENOENT;
        }

        Errno error = area.Check(access);
        if (error != Errno.None)
        {
            area.Exit();
        }

        return error;
    }

    private readonly struct Translation(IommufdAccess access) : IDmaTranslation
    {
        public Errno Enter(ulong iova, DmaAccess wanted, out TransferGate? gate)
        {
            Errno error = access.Enter(iova, wanted, out IovaArea? area);
            gate = area;
            return error;
        }

        public void Written(TransferGate gate, IovaRange written)
        {
        }
    }
}
