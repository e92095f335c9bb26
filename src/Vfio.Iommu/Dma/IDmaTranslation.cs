using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>What stands between an address and memory: an address space, or a page table.</summary>
internal interface IDmaTranslation
{
    /// <summary>Finds the memory behind an address, checks the right and enters.</summary>
    /// <param name="iova">The address.</param>
    /// <param name="access">What is wanted.</param>
    /// <param name="gate">What was entered; left exactly once on success.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    Errno Enter(ulong iova, DmaAccess access, out TransferGate? gate);

    /// <summary>Notes that memory was written, while it is still entered.</summary>
    /// <param name="gate">What was entered.</param>
    /// <param name="written">The addresses.</param>
    void Written(TransferGate gate, IovaRange written);
}
