using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A range of a user's addresses, as given to IOAS_MAP: nothing is checked until it is used, and a bad address is EFAULT.</summary>
public sealed class UserMemorySource : MemorySource
{
    private readonly IUserMemory _memory;
    private readonly ulong _address;

    /// <summary>Null when the memory cannot be shared: most sources are of such memory, and there may be a million of them.</summary>
    private readonly Lock? _lock;

    /// <summary>What the range shows, where it can be had here. Written once, before <see cref="_isAsked"/>.</summary>
    private MemorySource? _shared;
    private volatile bool _isAsked;

    /// <summary>Shows a range of addresses.</summary>
    /// <param name="memory">Whose addresses.</param>
    /// <param name="address">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="writable">Whether writes are allowed.</param>
    public UserMemorySource(IUserMemory memory, ulong address, ulong length, bool writable)
    {
        _memory = memory;
        _address = address;
        Length = length;
        IsWritable = writable;
        _lock = memory is IShareableUserMemory ? new Lock() : null;
        _isAsked = _lock is null;
    }

    internal IUserMemory Memory => _memory;

    /// <inheritdoc/>
    public override ulong Length { get; }

    /// <inheritdoc/>
    public override bool IsWritable { get; }

    /// <inheritdoc/>
    public override string Kind => _shared is null ? "user" : "shared";

    /// <inheritdoc/>
    public override ulong PlacementHint(ulong offset) => unchecked(_address + offset);

    /// <inheritdoc/>
    protected override bool CountsPins => _memory is IPinnableUserMemory;

    /// <inheritdoc/>
    public override Errno Read(ulong offset, Span<byte> destination)
        => Shared is { } shared ? shared.Read(offset, destination) : _memory.Read(_address + offset, destination);

    /// <inheritdoc/>
    public override Errno Write(ulong offset, ReadOnlySpan<byte> source)
        => Shared is { } shared ? shared.Write(offset, source) : _memory.Write(_address + offset, source);

    /// <inheritdoc/>
    public override nint GetPointer(ulong offset)
        => Shared is { } shared ? shared.GetPointer(offset)
            : (_memory as IDirectUserMemory)?.GetPointer(_address + offset, Length - offset, IsWritable) ?? 0;

    /// <inheritdoc/>
    protected internal override Errno PutInPlace(ulong page, ulong count)
    {
        ulong address = (_address & ~(PageSize - 1)) + (page * PageSize);
        if (_memory is IPinnableUserMemory pinnable)
        {
            return pinnable.Pin(address, count * PageSize, IsWritable);
        }

        // Nobody can be made to keep the pages; but they are there now.
        Span<byte> probe = stackalloc byte[1];
        for (ulong i = 0; i < count; i++)
        {
            Errno error = _memory.Read(address + (i * PageSize), probe);
            if (error != Errno.None)
            {
                return error;
            }
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    protected internal override void LetGo(ulong page, ulong count)
        => (_memory as IPinnableUserMemory)?.Unpin((_address & ~(PageSize - 1)) + (page * PageSize), count * PageSize);

    /// <inheritdoc/>
    protected override void Release()
    {
        if (_lock is null)
        {
            return;
        }

        lock (_lock)
        {
            _isAsked = true;
            _shared?.RemoveReference();
            _shared = null;
        }
    }

    /// <summary>Asked for at the first use, when pages that are pinned have been.</summary>
    private MemorySource? Shared => _isAsked ? _shared : Ask();

    private MemorySource? Ask()
    {
        lock (_lock!)
        {
            if (!_isAsked)
            {
                _shared = ((IShareableUserMemory)_memory).TryShare(_address, Length, IsWritable);
                _isAsked = true;
            }

            return _shared;
        }
    }
}
