namespace Vfio.Iommu;

/// <summary>An id that is never used again: a virtual device was there whose device went first (spec iommufd §1.2).</summary>
internal sealed class Tombstone : IommufdObject
{
    public Tombstone(IommufdContext context)
        : base(context)
    {
    }

    internal override void Destroyed()
    {
    }
}
