using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>Memory that a context's file shows to whoever maps it at the right place.</summary>
/// <remarks>Spec iommufd §1.11.</remarks>
public sealed class MappableOffer : IDisposable
{
    private readonly IommufdContext _context;

    internal MappableOffer(IommufdContext context, IommufdObject owner, FileDescriptor memory, ulong position, ulong length)
    {
        _context = context;
        Owner = owner;
        Memory = memory;
        Position = position;
        Length = length;
    }

    /// <summary>Where it is in the context's file; to be told to the user.</summary>
    public ulong Position { get; }

    /// <summary>Length in bytes.</summary>
    public ulong Length { get; }

    internal IommufdObject Owner { get; }

    internal FileDescriptor Memory { get; }

    /// <summary>Withdraws the offer.</summary>
    public void Dispose() => _context.Withdraw(this);
}
