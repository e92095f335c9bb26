namespace Vfio.Iommu;

/// <summary>Something in an <see cref="IommufdContext"/> that a user addresses by id.</summary>
public abstract class IommufdObject
{
    private protected IommufdObject(IommufdContext context)
    {
        Context = context;
    }

    /// <summary>The context it belongs to.</summary>
    public IommufdContext Context { get; }

    /// <summary>Its id: unique in the context among objects of all kinds, at least 1, reused after the object is gone.</summary>
    public uint Id { get; internal set; }

    /// <summary>Who keeps the object; 1 means only the table. Guarded by the context's table lock.</summary>
    internal int Users { get; set; } = 1;

    /// <summary>Set while its owner withdraws it: it is not found any more. Guarded by the context's table lock.</summary>
    internal bool IsLeaving { get; set; }

    /// <summary>Whether an object that its owner keeps in the table keeps the context as well.</summary>
    internal bool HoldsContext { get; init; } = true;

    /// <summary>Gives up what the object holds; runs once, after it left the table.</summary>
    internal abstract void Destroyed();
}
