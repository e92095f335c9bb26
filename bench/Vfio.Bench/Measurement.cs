namespace Vfio.Bench;

/// <summary>What was measured of one operation.</summary>
/// <param name="Name">The operation.</param>
/// <param name="Size">How large its subject was: live areas, pages, bytes; 0 where there is none.</param>
/// <param name="Minimum">Nanoseconds an operation in the fastest sample.</param>
/// <param name="Median">Nanoseconds an operation in the sample in the middle.</param>
/// <param name="Maximum">Nanoseconds an operation in the slowest sample.</param>
/// <param name="AllocatedBytes">Bytes that an operation allocates on the managed heap.</param>
/// <param name="Samples">Number of samples.</param>
/// <param name="OperationsPerSample">Number of operations in each.</param>
internal sealed record Measurement(
    string Name,
    long Size,
    double Minimum,
    double Median,
    double Maximum,
    double AllocatedBytes,
    int Samples,
    long OperationsPerSample);
