namespace Vfio.Iommu;

/// <summary>The file of a queue: it keeps the queue, and the context, for as long as it is open.</summary>
internal abstract class EventFile : VfioFile
{
    private readonly IommufdObject _queue;

    /// <summary>Makes the file; the caller counted a user on the queue for it.</summary>
    protected EventFile(IommufdObject queue)
    {
        _queue = queue;
        queue.Context.Hold();
    }

    /// <inheritdoc/>
    public override bool HasPosition => false;

    /// <summary>Told by the queue that something was added.</summary>
    public void Notify() => NotifyReadiness();

    /// <inheritdoc/>
    protected override void Close()
    {
        _queue.Context.Put(_queue);
        _queue.Context.Release();
    }
}
