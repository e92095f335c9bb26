using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>The registered memory of all processes: containers of one process share blocks, which are then charged once (<c>mm_iommu_*</c>).</summary>
/// <remarks>Its lock is a leaf, inside the containers' instances.</remarks>
internal sealed class SpaprMemoryRegistry
{
    private const ulong PageSize = 4096;
    private readonly Lock _lock = new();
    private readonly List<SpaprMemoryBlock> _blocks = [];

    /// <summary>Finds a block that was registered exactly so, and takes a reference.</summary>
    public SpaprMemoryBlock? Get(IUserMemory memory, ulong address, ulong size)
    {
        lock (_lock)
        {
            SpaprMemoryBlock? block = FindExact(memory, address, size);
            if (block is not null)
            {
                block.Users++;
            }

            return block;
        }
    }

    /// <summary>Keeps new memory in place and charges it.</summary>
    public Errno Add(IUserMemory memory, ulong address, ulong size, LockedMemoryAccount account, bool exempt, out SpaprMemoryBlock? block)
    {
        block = null;
        SpaprMemoryBlock added = new(memory, address, size) { Users = 1 };
        if (!account.TryCharge(added.Pages, exempt))
        {
            return Errno.ENOMEM;
        }

        Errno error = Touch(memory, address, size);
        if (error == Errno.None)
        {
            lock (_lock)
            {
                if (_blocks.Exists(other => ReferenceEquals(other.Memory, memory) && other.Overlaps(address, size)))
                {
                    error = Errno.EINVAL;
                }
                else
                {
                    _blocks.Add(added);
                }
            }
        }

        if (error != Errno.None)
        {
            account.Uncharge(added.Pages);
            return error;
        }

        block = added;
        return Errno.None;
    }

    /// <summary>Gives a reference back; the last one ends the registration, unless entries point into the block.</summary>
    public Errno Put(SpaprMemoryBlock block, LockedMemoryAccount account)
    {
        lock (_lock)
        {
            if (block.Users == 1 && block.Mapped > 0)
            {
                return Errno.EBUSY;
            }

            if (--block.Users > 0)
            {
                return Errno.None;
            }

            _blocks.Remove(block);
        }

        account.Uncharge(block.Pages);
        return Errno.None;
    }

    /// <summary>Finds the block around a page and counts an entry that points to it (<c>mm_iommu_lookup</c>, <c>mm_iommu_mapped_inc</c>).</summary>
    public SpaprMemoryBlock? Use(IUserMemory memory, ulong address, int pageShift)
    {
        lock (_lock)
        {
            SpaprMemoryBlock? block = _blocks.Find(candidate => ReferenceEquals(candidate.Memory, memory) && candidate.Contains(address, 1ul << pageShift));
            if (block is null || block.BackingShift < pageShift)
            {
                return null;
            }

            block.Mapped++;
            return block;
        }
    }

    public void Unuse(SpaprMemoryBlock block)
    {
        lock (_lock)
        {
            block.Mapped--;
        }
    }

    /// <summary>Whether all pages are there; user space cannot do more to keep them.</summary>
    public static Errno Touch(IUserMemory memory, ulong address, ulong size)
    {
        Span<byte> probe = stackalloc byte[1];
        for (ulong done = 0; done < size; done += PageSize)
        {
            if (memory.Read(address + done, probe) != Errno.None)
            {
                return Errno.EFAULT;
            }
        }

        return Errno.None;
    }

    private SpaprMemoryBlock? FindExact(IUserMemory memory, ulong address, ulong size)
        => _blocks.Find(block => ReferenceEquals(block.Memory, memory) && block.Address == address && block.Size == size);
}
