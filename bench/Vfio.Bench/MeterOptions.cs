namespace Vfio.Bench;

/// <summary>How to measure.</summary>
internal sealed record MeterOptions
{
    /// <summary>Number of samples of each operation.</summary>
    public int Samples { get; init; } = 31;

    /// <summary>About how long a sample takes: short, so that some are not disturbed.</summary>
    public TimeSpan SampleTime { get; init; } = TimeSpan.FromMilliseconds(4);

    /// <summary>How long an operation runs before it is measured.</summary>
    public TimeSpan WarmUpTime { get; init; } = TimeSpan.FromMilliseconds(400);

    /// <summary>Only operations whose name contains this are measured.</summary>
    public string Filter { get; init; } = "";
}
