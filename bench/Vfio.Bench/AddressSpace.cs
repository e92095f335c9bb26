using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Bench;

/// <summary>An address space with areas of one page each, with free addresses between them, and a device's access to it.</summary>
internal sealed class AddressSpace : IDisposable
{
    public const ulong PageSize = 4096;

    /// <summary>Address of the first area.</summary>
    public const ulong First = 0x1_0000_0000;

    /// <summary>From one area to the next.</summary>
    public const ulong Stride = 4 * PageSize;
    private const int MemoryPages = 1024;
    private readonly MemoryMapping _memory;
    private readonly MappedMemorySource _source;
    private readonly IommufdContext _context = new();

    /// <summary>Makes it.</summary>
    /// <param name="areas">Number of areas.</param>
    public AddressSpace(int areas)
    {
        Ensure(MemoryMapping.TryMapAnonymous((nuint)(MemoryPages * PageSize), MemoryProtection.ReadWrite, out MemoryMapping? memory));
        _memory = memory!;
        _memory.Span.Fill(1);
        _source = new MappedMemorySource(_memory, 0, MemoryPages * PageSize, writable: true, ownsMapping: false);
        Ensure(_context.AllocateIoas(out Ioas? ioas));
        Ioas = ioas!;
        Ensure(_context.CreateAccess(static (_, _) => { }, out IommufdAccess? access));
        Access = access!;
        Ensure(Access.AttachOrReplace(Ioas.Id));
        for (int i = 0; i < areas; i++)
        {
            Map(First + ((ulong)i * Stride), 1, (ulong)(i % MemoryPages));
        }
    }

    public IommufdContext Context => _context;

    public Ioas Ioas { get; }

    public IommufdAccess Access { get; }

    public static void Ensure(Errno error)
    {
        if (error != Errno.None)
        {
            throw new InvalidOperationException($"The operation that is measured failed: {error}.");
        }
    }

    public void Map(ulong iova, ulong pages, ulong sourcePage = 0)
        => Ensure(Ioas.MapFixed(iova, pages * PageSize, _source, sourcePage * PageSize, DmaAccess.ReadWrite));

    public ulong MapAnywhere(ulong pages)
    {
        Ensure(Ioas.MapAnywhere(PageSize, pages * PageSize, _source, 0, DmaAccess.ReadWrite, out ulong iova));
        return iova;
    }

    public void Unmap(ulong iova, ulong pages)
    {
        if (!IovaRange.TryCreate(iova, pages * PageSize, out IovaRange range))
        {
            throw new ArgumentOutOfRangeException(nameof(iova));
        }

        Ensure(Ioas.Unmap(range, out _));
    }

    public void Dispose()
    {
        Access.Destroy();
        _context.Dispose();
        _source.RemoveReference();
        _memory.Dispose();
    }
}
