namespace Vfio.Differential;

/// <summary>The devices that scenarios run on.</summary>
internal enum Target
{
    /// <summary>The first edu: on the root bus, which nothing can reset.</summary>
    A,

    /// <summary>The second edu: alone on a bus that can be reset.</summary>
    B,
}
