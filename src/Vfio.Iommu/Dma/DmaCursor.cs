using System.Runtime.CompilerServices;
using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>
/// Direct access to one place of mapped memory after another: what entering costs is paid once for many look-ups, which then need no atomic
/// operation, lock, system call or allocation.
/// </summary>
/// <remarks>
/// For a device that follows lists or rings through its user's memory. Every unmap of the address space waits until the cursor is disposed:
/// hold it for a batch of work, do nothing that waits, and unmap nothing yourself. For a single place use <see cref="DmaWindow"/>, for a long time
/// a <see cref="DmaPin"/>.
/// </remarks>
public ref struct DmaCursor : IDisposable
{
    private readonly DmaSpace? _space;
    private readonly IovaMap? _map;
    private readonly int _phase;
    private MappedRange _mapped;
    private IovaArea? _area;
    private DmaWindow _window;
    private ulong _written;
    private int _writtenLength;

    internal DmaCursor(DmaSpace space, IDmaPath? path)
    {
        _space = space;
        _map = (path as IommufdAccess)?.AddressSpace?.Map;
        _phase = _map is null ? 0 : _map.EnterCursor();
    }

    /// <summary>Goes to memory.</summary>
    /// <param name="iova">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="access">What the device will do.</param>
    /// <param name="memory">The memory, shared with whoever mapped it; until the next call, or the cursor's end.</param>
    /// <returns>
    /// As for <see cref="DmaSpace.TryOpenWindow"/>; after <see cref="Errno.EOPNOTSUPP"/> <see cref="DmaSpace.Read(ulong, Span{byte})"/> and
    /// <see cref="DmaSpace.Write(ulong, ReadOnlySpan{byte})"/> may do it.
    /// </returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public unsafe Errno TryGet(ulong iova, int length, DmaAccess access, out Span<byte> memory)
    {
        if (_writtenLength != 0)
        {
            EndWrite();
        }

        nint pointer = _mapped.Find(iova, length, access);
        if (pointer != 0 && !_map!.IsRestricted)
        {
            if ((access & DmaAccess.Write) != 0)
            {
                BeginWrite(iova, length);
            }

            // SAFETY: the area contains the range, its memory is reachable by pointer without faults, and it stays until the cursor's end.
            memory = new Span<byte>((void*)pointer, length);
            return Errno.None;
        }

        return TryFind(iova, length, access, out memory);
    }

    /// <summary>Ends. Call it exactly once.</summary>
    public void Dispose()
    {
        EndWrite();
        _window.Dispose();
        _map?.LeaveCursor(_phase);
    }

    /// <summary>Any memory but that which was found the last time.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private unsafe Errno TryFind(ulong iova, int length, DmaAccess access, out Span<byte> memory)
    {
        memory = default;
        if (_map is null)
        {
            return TryOpenWindow(iova, length, access, out memory);
        }

        // What is in the index now stays until the cursor's end, whoever unmaps it meanwhile. An area that had to be looked at itself is so again.
        nint pointer = 0;
        if (!IsInArea(iova) && !_map.IsRestricted)
        {
            _map.FindMapped(iova, ref _mapped);
            pointer = _mapped.Find(iova, length, access);
        }

        if (pointer == 0)
        {
            Errno error = TryFindArea(iova, length, access, out pointer);
            if (error != Errno.None)
            {
                return error;
            }
        }

        if ((access & DmaAccess.Write) != 0)
        {
            BeginWrite(iova, length);
        }

        // SAFETY: as above.
        memory = new Span<byte>((void*)pointer, length);
        return Errno.None;
    }

    private readonly bool IsInArea(ulong iova) => _area is { } area && area.Range.Contains(iova);

    /// <summary>By the area itself: while some are restricted, where the pointer is another from time to time, and to say what is wrong.</summary>
    private Errno TryFindArea(ulong iova, int length, DmaAccess access, out nint pointer)
    {
        pointer = 0;
        if (length <= 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, (ulong)length, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        IovaArea? area = IsInArea(iova) ? _area : _map!.Find(iova);
        if (area is null)
        {
            return Errno.ENOENT;
        }

        Errno error = area.Check(access);
        if (error != Errno.None)
        {
            return error;
        }

        pointer = area.Range.Contains(range) ? area.GetPointer(iova) : 0;
        if (pointer == 0)
        {
            return Errno.EOPNOTSUPP;
        }

        _area = area;
        return Errno.None;
    }

    /// <summary>Where there is no map to enter (a page table, a container): a window at a time.</summary>
    private Errno TryOpenWindow(ulong iova, int length, DmaAccess access, out Span<byte> memory)
    {
        memory = default;
        _window.Dispose();
        _window = default;
        Errno error = _space is null ? Errno.EINVAL : _space.TryOpenWindow(iova, length, access, out _window);
        if (error == Errno.None)
        {
            memory = _window.Span;
        }

        return error;
    }

    /// <summary>What is written is logged when it has been: at the next step.</summary>
    private void BeginWrite(ulong iova, int length)
    {
        _written = iova;
        _writtenLength = length;
    }

    private void EndWrite()
    {
        _space?.Log(_written, _writtenLength);
        _writtenLength = 0;
    }
}
