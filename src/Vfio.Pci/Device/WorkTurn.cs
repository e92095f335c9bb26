namespace Vfio.Pci;

/// <summary>One run of a <see cref="DeviceWork"/>.</summary>
public readonly struct WorkTurn : IEquatable<WorkTurn>
{
    private readonly DeviceWork? _work;
    private readonly int _generation;

    internal WorkTurn(DeviceWork work, int generation)
    {
        _work = work;
        _generation = generation;
    }

    /// <summary>
    /// Whether the device was reset or closed since the run began: what the run has computed belongs to the past and must not be
    /// stored. Ask with <see cref="VfioPciDevice.StateLock"/> held, after each stretch without it.
    /// </summary>
    public bool IsCancelled => _work is null || _work.Generation != _generation;

    /// <summary>
    /// Whether the device is about to stop for a migration: a run that takes long schedules itself again and returns. A run that ends by itself in
    /// milliseconds need not ask.
    /// </summary>
    public bool IsPausing => _work is { IsPausing: true };

    /// <summary>
    /// Whether requests of the user wait for the end of the run, which was asked for by <see cref="DeviceWork.ScheduleBrief"/>: one that has more to do than
    /// some microseconds' worth schedules itself again and returns.
    /// </summary>
    public bool IsBrief => _work is not null && AnsweringThread.IsCurrentWorking;

    /// <summary>Whether two values mean the same run.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    public static bool operator ==(WorkTurn left, WorkTurn right) => left.Equals(right);

    /// <summary>Whether two values mean different runs.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    public static bool operator !=(WorkTurn left, WorkTurn right) => !left.Equals(right);

    /// <inheritdoc/>
    public bool Equals(WorkTurn other) => ReferenceEquals(_work, other._work) && _generation == other._generation;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is WorkTurn other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_work, _generation);
}
