using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Tests;

/// <summary>A fresh context with one address space (preset A1 of the specification) and a buffer B.</summary>
internal sealed class IommufdFixture : IDisposable
{
    public const ulong P = 4096;
    public const ulong Max = ulong.MaxValue;

    public IommufdFixture()
    {
        Context = new IommufdContext();
        Assert.Equal(Errno.None, Context.AllocateIoas(out Ioas? ioas));
        Ioas = ioas!;
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous((nuint)(64 * P), MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        Buffer = mapping!;
    }

    public IommufdContext Context { get; }

    public Ioas Ioas { get; }

    public MemoryMapping Buffer { get; }

    /// <summary>Memory of a given length that nobody reads.</summary>
    public static MemorySource Memory(ulong length, bool writable = true) => new UserMemorySource(new ProcessUserMemory(), 0x1000, length, writable);

    public MemorySource B(ulong start = 0, ulong? length = null, bool writable = true)
        => new MappedMemorySource(Buffer, start, length ?? ((64 * P) - start), writable, ownsMapping: false);

    public Errno Map(ulong iova, ulong length, DmaAccess access = DmaAccess.ReadWrite)
    {
        MemorySource source = B();
        Errno error = Ioas.MapFixed(iova, length, source, 0, access);
        source.RemoveReference();
        return error;
    }

    public Errno Unmap(ulong iova, ulong length, out ulong unmapped)
    {
        unmapped = 0;
        return IovaRange.TryCreate(iova, length, out IovaRange range) ? Ioas.Unmap(range, out unmapped) : Errno.EOVERFLOW;
    }

    public Errno Reserve(ulong start, ulong last)
    {
        Assert.True(IovaRange.TryCreateInclusive(start, last, out IovaRange range));
        return Ioas.Map.Reserve([range], this);
    }

    public IommufdAccess Access(Action<ulong, ulong>? unmap = null, bool attach = true)
    {
        Assert.Equal(Errno.None, Context.CreateAccess(unmap, out IommufdAccess? access));
        if (attach)
        {
            Assert.Equal(Errno.None, access!.AttachOrReplace(Ioas.Id));
        }

        return access!;
    }

    public void Dispose()
    {
        Context.Dispose();
        Buffer.Dispose();
    }

    public static IovaRange Range(ulong start, ulong length)
    {
        Assert.True(IovaRange.TryCreate(start, length, out IovaRange range));
        return range;
    }
}
