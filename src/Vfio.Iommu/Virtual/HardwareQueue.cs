namespace Vfio.Iommu;

/// <summary>A queue of the hardware's that a virtual machine drives itself, in memory of its own that stays in place (iommufd's <c>iommufd_hw_queue</c>).</summary>
/// <remarks>Spec iommufd §2.22. While it lives its memory can't be unmapped.</remarks>
public sealed class HardwareQueue : IommufdObject
{
    private readonly DmaPinSegment[] _memory;
    private readonly IommufdAccess _access;

    internal HardwareQueue(VirtualIommu viommu, uint type, uint index, IovaRange range, IommufdAccess access, DmaPinSegment[] memory)
        : base(viommu.Context)
    {
        VirtualIommu = viommu;
        Type = type;
        Index = index;
        Range = range;
        _access = access;
        _memory = memory;
    }

    /// <summary>The virtual IOMMU, which it keeps.</summary>
    public VirtualIommu VirtualIommu { get; }

    /// <summary>The kind of queue.</summary>
    public uint Type { get; }

    /// <summary>Its number among the virtual IOMMU's queues.</summary>
    public uint Index { get; }

    /// <summary>The virtual machine's addresses of its memory.</summary>
    public IovaRange Range { get; }

    /// <summary>What the hardware keeps for it.</summary>
    internal IDisposable? State { get; set; }

    /// <summary>Keeps this queue for another one that can't be without it.</summary>
    /// <remarks><c>iommufd_hw_queue_depend</c>. A queue that is kept can't be destroyed.</remarks>
    public void AddDependent() => Context.AddUser(this);

    /// <summary>Undoes <see cref="AddDependent"/>.</summary>
    /// <remarks><c>iommufd_hw_queue_undepend</c>.</remarks>
    public void RemoveDependent() => Context.Put(this);

    internal override void Destroyed()
    {
        State?.Dispose();
        VirtualIommu.Parent.Ioas.Map.Unpin(_memory, locks: true);
        _access.Destroy();
        Context.Put(VirtualIommu);
    }
}
