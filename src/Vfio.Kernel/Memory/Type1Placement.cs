using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Kernel;

/// <summary>Chooses addresses for a type1 container, which does not: an address space of the core's, within the ranges that the kernel names.</summary>
/// <remarks>Counted: the connections that share a container share it.</remarks>
internal sealed class Type1Placement
{
    private static readonly ProcessUserMemory s_here = new();
    private readonly IommufdContext _context;
    private readonly Ioas _space;
    private int _references = 1;

    private Type1Placement(IommufdContext context, Ioas space)
    {
        _context = context;
        _space = space;
    }

    /// <summary>Makes an empty one.</summary>
    /// <param name="ranges">The usable addresses; none for all.</param>
    /// <param name="placement">The placement after success.</param>
    public static Errno TryCreate(ReadOnlySpan<IovaRange> ranges, out Type1Placement? placement)
    {
        IommufdContext context = new(new IommufdLimits());
        Errno error = context.AllocateIoas(out Ioas? space);
        if (error == Errno.None)
        {
            error = space!.SetAllowedRanges(ranges);
        }

        placement = error == Errno.None ? new Type1Placement(context, space!) : null;
        if (error != Errno.None)
        {
            context.Dispose();
        }

        return error;
    }

    public void AddReference() => Interlocked.Increment(ref _references);

    public void RemoveReference()
    {
        if (Interlocked.Decrement(ref _references) == 0)
        {
            _context.Dispose();
        }
    }

    /// <summary>Takes addresses.</summary>
    /// <param name="address">The memory, whose alignment to huge pages the addresses keep.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="access">What the device may do.</param>
    /// <param name="iova">The address wanted, or null.</param>
    /// <param name="chosen">The address.</param>
    public Errno Place(ulong address, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        UserMemorySource source = new(s_here, address, length, writable: true);
        chosen = iova ?? 0;
        Errno error = iova is { } wanted
            ? _space.MapFixed(wanted, length, source, 0, access)
            : _space.MapAnywhere(0, length, source, 0, access, out chosen);
        source.RemoveReference();
        return error;
    }

    /// <summary>Gives addresses back.</summary>
    public void Forget(ulong iova, ulong length)
    {
        if (IovaRange.TryCreate(iova, length, out IovaRange range))
        {
            _ = _space.Unmap(range, out _);
        }
    }
}
