using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A mapped range of an address space: which memory it shows, what the device may do there, and who is using it now.</summary>
internal sealed class IovaArea : TransferGate
{
    private readonly DmaAccess _allowed;
    private readonly bool _isDeviceMemory;

    public IovaArea(IovaRange range, MemorySource source, ulong sourceOffset, DmaAccess access)
        : base(range, source, sourceOffset)
    {
        Access = access;
        _allowed = source.IsWritable ? access : access & ~DmaAccess.Write;
        _isDeviceMemory = source.IsDeviceMemory;
    }

    public DmaAccess Access { get; }

    /// <summary>Set while an unmap asks accesses to let go: new pins and transfers are refused. Written under the map's lock.</summary>
    public volatile bool PreventAccess;

    /// <summary>Set while the area is made or unmade: it holds its addresses, and nobody sees more of it. Written under the map's lock.</summary>
    public volatile bool IsBusy;

    /// <summary>Whether it is not as its range and rights say: busy, or to be let go of.</summary>
    public bool IsRestricted => IsBusy || PreventAccess;

    /// <summary>Number of pins on this area. Guarded by the map's lock.</summary>
    public int Pins;

    /// <summary>How many of <see cref="Pins"/> are a hardware queue's, which nobody can ask back. Guarded by the map's lock.</summary>
    public int Locks;

    /// <summary>Whether the source's pages are pinned because domains show the area. Guarded by the map's domain lock.</summary>
    public bool IsHeld;

    /// <summary>The address of the area's first byte as the memory's owner knows it.</summary>
    public ulong Hint => Source.PlacementHint(SourceOffset(Range.Start));

    /// <summary>What devices may do, with memory that they may reach at all.</summary>
    public DmaAccess Rights => _isDeviceMemory ? DmaAccess.None : _allowed;

    /// <summary>Checks a transfer against the area's rights.</summary>
    public Errno Check(DmaAccess wanted)
    {
        if (IsBusy)
        {
            return Errno.ENOENT;
        }

        if (PreventAccess || _isDeviceMemory)
        {
            return Errno.EINVAL;
        }

        return (_allowed & wanted) == wanted ? Errno.None : Errno.EPERM;
    }
}
