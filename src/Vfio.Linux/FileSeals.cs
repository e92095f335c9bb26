namespace Vfio.Linux;

/// <summary>What a memfd promises never to do again. Seals are added and never taken away (<c>F_ADD_SEALS</c>).</summary>
[Flags]
public enum FileSeals
{
    /// <summary>Nothing is promised.</summary>
    None = 0,

    /// <summary>No further seals.</summary>
    Seal = 1,

    /// <summary>The file does not get shorter; the seal that makes touching a peer's mapping safe from SIGBUS.</summary>
    Shrink = 2,

    /// <summary>The file does not get longer.</summary>
    Grow = 4,

    /// <summary>Nobody writes; refused while a writable shared mapping exists.</summary>
    Write = 8,

    /// <summary>Nobody writes except through the writable mappings that exist already.</summary>
    FutureWrite = 16,

    /// <summary>The execute bits do not change (Linux 6.3).</summary>
    Exec = 32,
}
