using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>A first-stage page table in the user's memory, on top of a paging domain that translates what it yields.</summary>
/// <remarks>Its formats are the hardware's own; the library passes them through.</remarks>
public interface INestedDomain : IIommuDomain
{
    /// <summary>Whether <see cref="Invalidate"/> is there.</summary>
    bool CanInvalidate { get; }

    /// <summary>Forgets cached translations.</summary>
    /// <param name="request">The user's entries, to be carried out in order up to the first that fails.</param>
    /// <param name="done">How many entries were carried out.</param>
    /// <returns><see cref="Errno.None"/>, or the first entry's error.</returns>
    /// <remarks><c>cache_invalidate_user</c>. Without entries it tells whether the type is known.</remarks>
    Errno Invalidate(in InvalidationRequest request, out uint done);
}
