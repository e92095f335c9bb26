using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>
/// Which pages of a memory source are in place, and who is charged for them. A page is put in place once, however many areas and
/// accesses use it, and charged once (iommufd's <c>iopt_pages</c>; spec iommufd §1.6, §3.8).
/// </summary>
/// <remarks>Lock order: this lock is taken under the map's and is a leaf, but for the memory's own pin and unpin.</remarks>
internal sealed class PinLedger(MemorySource source, ProcessMemoryAccount? account, AccountingMode mode)
{
    private const int ChunkPages = 512;

    /// <summary>Pages that are put in place at once: 256 MiB.</summary>
    private const ulong MaximumRun = 65_536;
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, int[]> _chunks = [];
    private ProcessMemoryAccount? _account = account;
    private long _pinned;

    /// <summary>Pages in place.</summary>
    public long Pinned
    {
        get
        {
            lock (_lock)
            {
                return _pinned;
            }
        }
    }

    /// <summary>Whether a page is in place.</summary>
    public bool Holds(ulong page)
    {
        lock (_lock)
        {
            return !IsFree(page);
        }
    }

    public ProcessMemoryAccount? Account
    {
        get
        {
            lock (_lock)
            {
                return _account;
            }
        }
    }

    public AccountingMode Mode { get; } = mode;

    /// <summary>Adds one use to each page of a part of the source, all or none.</summary>
    /// <returns>What the memory reported, or <see cref="Errno.ENOMEM"/> when the account's limit is reached.</returns>
    public Errno Pin(ulong offset, ulong length)
    {
        (ulong first, ulong last) = Pages(offset, length);
        lock (_lock)
        {
            long fresh = 0;
            Errno error = Errno.None;
            ulong page = first;
            while (page <= last && error == Errno.None)
            {
                // Runs of pages that nobody holds yet are put in place together, and charged: a length that the memory or the account does not
                // have fails at its first run, before it has cost more.
                ulong run = page;
                while (run <= last && run - page < MaximumRun && IsFree(run))
                {
                    run++;
                }

                error = run > page ? source.PutInPlace(page, run - page) : Errno.None;
                if (error != Errno.None)
                {
                    break;
                }

                long put = (long)(run - page);
                for (; page < run || (page <= last && !IsFree(page)); page++)
                {
                    Count(page)++;
                }

                if (put > 0 && _account?.TryCharge(Mode, put) == false)
                {
                    error = Errno.ENOMEM;
                }
                else
                {
                    fresh += put;
                }
            }

            if (error != Errno.None)
            {
                _ = page > first ? Release(first, page - 1) : 0;
                if (fresh > 0)
                {
                    _account?.Uncharge(Mode, fresh);
                }

                return error;
            }

            _pinned += fresh;
            return Errno.None;
        }
    }

    /// <summary>Takes one use from each page of a part that <see cref="Pin"/> was given.</summary>
    public void Unpin(ulong offset, ulong length)
    {
        (ulong first, ulong last) = Pages(offset, length);
        lock (_lock)
        {
            long released = Release(first, last);
            _pinned -= released;
            if (released > 0)
            {
                _account?.Uncharge(Mode, released);
            }
        }
    }

    /// <summary>Moves the charge to another account, which must have room when the mode asks for it.</summary>
    /// <returns>False, and nothing moved, when the new account's limit forbids it.</returns>
    /// <remarks>IOMMU_IOAS_CHANGE_PROCESS: pages of an exempt owner only change their label (spec iommufd Q25).</remarks>
    public bool TryMoveTo(ProcessMemoryAccount? account)
    {
        lock (_lock)
        {
            if (ReferenceEquals(account, _account))
            {
                return true;
            }

            long charged = Mode == AccountingMode.None ? 0 : _pinned;
            if (charged > 0)
            {
                if (account?.TryCharge(Mode, charged) == false)
                {
                    return false;
                }

                _account?.Uncharge(Mode, charged);
            }

            _account = account;
            return true;
        }
    }

    /// <summary>Undoes a move: the account had room for it before.</summary>
    public void MoveBackTo(ProcessMemoryAccount? account) => _ = TryMoveTo(account);

    /// <summary>Pages as the memory's owner counts them: a source may start in the middle of one.</summary>
    private (ulong First, ulong Last) Pages(ulong offset, ulong length)
    {
        ulong lead = source.PlacementHint(0) & (MemorySource.PageSize - 1);
        return ((offset + lead) / MemorySource.PageSize, (offset + lead + length - 1) / MemorySource.PageSize);
    }

    private bool IsFree(ulong page) => !_chunks.TryGetValue(page / ChunkPages, out int[]? chunk) || chunk[page % ChunkPages] == 0;

    private ref int Count(ulong page)
    {
        if (!_chunks.TryGetValue(page / ChunkPages, out int[]? chunk))
        {
            _chunks.Add(page / ChunkPages, chunk = new int[ChunkPages]);
        }

        return ref chunk[page % ChunkPages];
    }

    /// <summary>Takes one use from each page, and lets go of those that nobody holds then.</summary>
    /// <returns>How many pages that were.</returns>
    private long Release(ulong first, ulong last)
    {
        long released = 0;
        for (ulong page = first; page <= last; page++)
        {
            ulong run = page;
            while (run <= last && --Count(run) == 0)
            {
                run++;
            }

            if (run > page)
            {
                source.LetGo(page, run - page);
                released += (long)(run - page);
                page = run;
            }
        }

        return released;
    }
}
