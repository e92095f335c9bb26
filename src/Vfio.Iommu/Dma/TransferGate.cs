namespace Vfio.Iommu;

/// <summary>
/// What transfers pass on their way to memory. They enter and leave without a lock; whoever takes the memory away closes it, which
/// stops new ones and waits for those inside, so that memory is never touched after it was unmapped.
/// </summary>
public abstract class TransferGate
{
    private readonly ulong _sourceOffset;
    private readonly nint _mapped;
    private int _transfers;
    private volatile bool _closed;

    private protected TransferGate(IovaRange range, MemorySource source, ulong sourceOffset)
    {
        Range = range;
        Source = source;
        _sourceOffset = sourceOffset;
        _mapped = source is MappedMemorySource mapped ? mapped.GetPointer(sourceOffset) : 0;
    }

    /// <summary>The addresses that it is in front of.</summary>
    public IovaRange Range { get; }

    /// <summary>The memory.</summary>
    public MemorySource Source { get; }

    /// <summary>The address in this process of the first byte, or 0 unless it is that for as long as the memory is there.</summary>
    internal nint Mapping => _mapped;

    /// <summary>Where the memory behind an address is in the source.</summary>
    internal ulong SourceOffset(ulong iova) => _sourceOffset + (iova - Range.Start);

    /// <summary>The address in this process of what is behind an I/O address, or 0 when the memory can only be copied.</summary>
    internal nint GetPointer(ulong iova) => _mapped != 0 ? _mapped + (nint)(iova - Range.Start) : Source.GetPointer(SourceOffset(iova));

    /// <summary>Enters: the memory stays until <see cref="Exit"/>.</summary>
    /// <returns>False when it was taken away already.</returns>
    internal bool TryEnter()
    {
        Interlocked.Increment(ref _transfers);
        if (!_closed)
        {
            return true;
        }

        Exit();
        return false;
    }

    /// <summary>Leaves. Call it exactly once for each entry.</summary>
    public void Exit() => Interlocked.Decrement(ref _transfers);

    /// <summary>Refuses new transfers, without waiting for those inside.</summary>
    internal void Refuse() => _closed = true;

    /// <summary>Refuses new transfers and waits until those inside have ended.</summary>
    internal void Close()
    {
        _closed = true;
        Interlocked.MemoryBarrier();
        SpinWait spin = default;
        while (Volatile.Read(ref _transfers) != 0)
        {
            if (Source.HelpTransfers())
            {
                continue;
            }

            spin.SpinOnce();
        }
    }
}
