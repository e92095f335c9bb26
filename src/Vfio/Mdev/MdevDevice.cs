namespace Vfio;

/// <summary>A mediated device: a GUID of a type on a parent (<c>mdev_device</c>).</summary>
/// <remarks>Counted: its place among the parent's instances becomes free when the last reference is given back.</remarks>
public sealed class MdevDevice
{
    private readonly Action<MdevDevice> _released;
    private int _references = 1;

    internal MdevDevice(MdevParent parent, MdevType type, Guid id, Action<MdevDevice> released)
    {
        Parent = parent;
        Type = type;
        Id = id;
        _released = released;
    }

    /// <summary>The parent.</summary>
    public MdevParent Parent { get; }

    /// <summary>The type.</summary>
    public MdevType Type { get; }

    /// <summary>The GUID, unique in the host.</summary>
    public Guid Id { get; }

    /// <summary>The name on the mdev bus: the GUID in lower case.</summary>
    public string Name => Id.ToString("d");

    /// <summary>What the driver keeps with it, such as its <see cref="VfioRegistration"/>.</summary>
    public object? DriverData { get; set; }

    /// <summary>Whether it has been created wholly and not begun to be removed. Guarded by the host's mdev lock.</summary>
    internal bool IsActive { get; set; }

    /// <summary>Takes a reference.</summary>
    public void Get() => Interlocked.Increment(ref _references);

    /// <summary>Gives a reference back.</summary>
    public void Put()
    {
        if (Interlocked.Decrement(ref _references) == 0)
        {
            _released(this);
        }
    }
}
