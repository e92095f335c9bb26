namespace Vfio.Differential;

/// <summary>The devices that scenarios run on.</summary>
internal enum Target
{
    /// <summary>A conventional function on the root bus, which nothing can reset.</summary>
    A,

    /// <summary>An Express function with all that it can have, alone on a bus that can be reset.</summary>
    B,
}
