using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>
/// Memory that can be mapped into an address space: what a range of I/O addresses stands for. The subject of iommufd's
/// <c>iopt_pages</c>.
/// </summary>
/// <remarks>
/// A source is owned by the areas that show it: each holds a reference, and when the last one is gone <see cref="Release"/> runs.
/// All members may be called from several threads at once. They report failures as values.
/// </remarks>
public abstract class MemorySource
{
    internal const ulong PageSize = 4096;
    private int _references = 1;
    private PinLedger? _ledger;

    /// <summary>Length in bytes.</summary>
    public abstract ulong Length { get; }

    /// <summary>Whether the memory may be written at all.</summary>
    public abstract bool IsWritable { get; }

    /// <summary>How the memory is reached, for diagnostics: "mapped", "descriptor", "message" and so on.</summary>
    public abstract string Kind { get; }

    /// <summary>
    /// The address of a byte as the memory's owner knows it (a user address, an offset in a file): automatic placement keeps its
    /// alignment and its offset within a page (spec iommufd §3.2).
    /// </summary>
    /// <param name="offset">Offset in the source.</param>
    /// <returns>The address.</returns>
    public virtual ulong PlacementHint(ulong offset) => offset;

    /// <summary>Copies from the memory.</summary>
    /// <param name="offset">Offset in the source; offset and length lie inside <see cref="Length"/>.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/> and others when the memory cannot be reached.</returns>
    public abstract Errno Read(ulong offset, Span<byte> destination);

    /// <summary>Copies to the memory.</summary>
    /// <param name="offset">Offset in the source; offset and length lie inside <see cref="Length"/>.</param>
    /// <param name="source">The bytes.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    public abstract Errno Write(ulong offset, ReadOnlySpan<byte> source);

    /// <summary>The address of the memory in this process, when access through it cannot fault whatever a peer does.</summary>
    /// <param name="offset">Offset in the source.</param>
    /// <returns>The address, or 0 when the memory can only be copied.</returns>
    public virtual nint GetPointer(ulong offset) => 0;

    /// <summary>
    /// Called by an unmap that waits for transfers still running on this source. A source whose transfers need the waiting thread to
    /// make progress (messages that this thread receives) does a bounded piece of that work here.
    /// </summary>
    /// <returns>True when something was done and the unmap should look again at once.</returns>
    public virtual bool HelpTransfers() => false;

    /// <summary>Whether the memory is a file's, so that another process can take it over (IOMMU_IOAS_CHANGE_PROCESS).</summary>
    public virtual bool IsFile => false;

    /// <summary>Whether the memory is another device's: hardware may use it, software may not copy or pin it.</summary>
    public virtual bool IsDeviceMemory => false;

    /// <summary>Whether the memory was taken away for good: no domain shows it any more.</summary>
    public virtual bool IsRevoked => false;

    /// <summary>Whether pins of a page must reach the memory's owner once only, however often it is pinned.</summary>
    protected virtual bool CountsPins => false;

    /// <summary>Makes sure that memory is there, and stays as far as its owner can be made to keep it.</summary>
    /// <param name="page">First page, counted from the page that the source begins in.</param>
    /// <param name="count">Number of pages.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EFAULT"/> or <see cref="Errno.EINVAL"/> when it is not there, and nothing is then held.</returns>
    /// <remarks>Called under the address space's locks before devices may use the memory without asking again.</remarks>
    protected internal virtual Errno PutInPlace(ulong page, ulong count) => Errno.None;

    /// <summary>Undoes <see cref="PutInPlace"/> for some of its pages.</summary>
    /// <param name="page">First page.</param>
    /// <param name="count">Number of pages.</param>
    protected internal virtual void LetGo(ulong page, ulong count)
    {
    }

    /// <summary>Gives up what the source holds; runs once, when nothing shows the source any more.</summary>
    protected abstract void Release();

    /// <summary>Takes a reference, for a caller that keeps the source beyond the areas that show it.</summary>
    public void AddReference() => Interlocked.Increment(ref _references);

    /// <summary>Gives a reference back. The creator holds one and gives it back after mapping.</summary>
    public void RemoveReference()
    {
        if (Interlocked.Decrement(ref _references) == 0)
        {
            Release();
        }
    }

    /// <summary>Says who is charged for pages that are pinned. The first one to map the source says it, before anybody else sees it.</summary>
    internal void Label(ProcessMemoryAccount? account, AccountingMode mode)
    {
        if (_ledger is null && !IsDeviceMemory && (account is not null || CountsPins))
        {
            _ledger = new PinLedger(this, account, mode);
        }
    }

    internal PinLedger? Ledger => _ledger;

    /// <summary>Whether the last reference was given back.</summary>
    internal bool IsReleased => Volatile.Read(ref _references) == 0;

    /// <summary>Pins the pages of a part of the source for one user more.</summary>
    internal Errno Pin(ulong offset, ulong length)
    {
        if (_ledger is not null)
        {
            return _ledger.Pin(offset, length);
        }

        ulong first = (offset + (PlacementHint(0) & (PageSize - 1))) / PageSize;
        ulong last = (offset + length - 1 + (PlacementHint(0) & (PageSize - 1))) / PageSize;
        return PutInPlace(first, last - first + 1);
    }

    internal void Unpin(ulong offset, ulong length) => _ledger?.Unpin(offset, length);
}
