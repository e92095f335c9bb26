using Vfio.Linux;

namespace Vfio;

/// <summary>The interrupts of one index that a driver turned on. Dispose turns them off.</summary>
public sealed class InterruptSet : IDisposable
{
    private readonly VfioConnection _connection;
    private readonly InterruptVector[] _vectors;
    private int _disposed;

    private InterruptSet(VfioConnection connection, PciInterrupt index, int count)
    {
        _connection = connection;
        Index = index;
        _vectors = new InterruptVector[count];
        for (int i = 0; i < count; i++)
        {
            _vectors[i] = new InterruptVector(connection);
        }
    }

    /// <summary>The interrupt index.</summary>
    public PciInterrupt Index { get; }

    /// <summary>Number of vectors.</summary>
    public int Count => _vectors.Length;

    /// <summary>One vector.</summary>
    /// <param name="vector">0 to <see cref="Count"/> − 1.</param>
    public InterruptVector this[int vector] => _vectors[vector];

    /// <summary>Lets a level-triggered interrupt, which its delivery masked, come again.</summary>
    /// <exception cref="VfioException">The index has no masking.</exception>
    public void Unmask() => Act(IrqSetFlags.ActionUnmask, "unmask");

    /// <summary>Holds the interrupt back.</summary>
    /// <exception cref="VfioException">The index has no masking.</exception>
    public void Mask() => Act(IrqSetFlags.ActionMask, "mask");

    /// <summary>Raises one vector by hand, without the device: for tests of a driver's handler.</summary>
    /// <param name="vector">The vector.</param>
    /// <exception cref="VfioException">The device refused.</exception>
    public void Trigger(int vector)
        => VfioException.ThrowIfError(
            _connection.TrySetIrqs(Index, IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger, (uint)vector, 1).Error,
            $"trigger {Index} vector {vector} of {_connection.Address}");

    /// <summary>Turns the interrupts off; waits of theirs end as cancelled.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _ = _connection.TrySetIrqs(Index, IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger, 0, 0);
        foreach (InterruptVector vector in _vectors)
        {
            vector.Dispose();
        }
    }

    internal static InterruptSet Enable(VfioConnection connection, PciInterrupt index, int count)
    {
        uint available = (uint)index < (uint)connection.Irqs.Count ? connection.Irqs[(int)index].Count : 0;
        string operation = $"enable {count} {index} interrupts of {connection.Address}";
        if ((uint)count > available)
        {
            throw new VfioException(Abi.Errno.EINVAL, operation, $"The device has {available}.");
        }

        InterruptSet set = new(connection, index, count);
        FileDescriptor[] descriptors = [.. set._vectors.Select(static vector => vector.EventFd.Descriptor)];
        IoResult result = connection.TrySetIrqs(index, IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, 0, (uint)count, descriptors);
        if (result.IsError || result.Value > 0)
        {
            foreach (InterruptVector vector in set._vectors)
            {
                vector.Dispose();
            }

            throw new VfioException(
                result.IsError ? result.Error : Abi.Errno.ENOSPC,
                operation,
                result.IsError ? "Only one of INTx, MSI and MSI-X can be on at a time." : $"{result.Value} vectors are available now.");
        }

        return set;
    }

    private void Act(IrqSetFlags action, string verb)
        => VfioException.ThrowIfError(
            _connection.TrySetIrqs(Index, IrqSetFlags.DataNone | action, 0, (uint)_vectors.Length).Error,
            $"{verb} {Index} of {_connection.Address}",
            Index == PciInterrupt.Intx ? null : "Only INTx can be masked this way.");
}
