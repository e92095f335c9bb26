namespace Vfio;

/// <summary>What a device can do in migration (<c>VFIO_MIGRATION_*</c>). <see cref="StopCopy"/> is always set.</summary>
[Flags]
public enum MigrationFlags : ulong
{
    /// <summary>Nothing; not legal for a device with migration operations.</summary>
    None = 0,

    /// <summary>Stop and copy.</summary>
    StopCopy = 1,

    /// <summary>The peer-to-peer states.</summary>
    P2P = 2,

    /// <summary>The pre-copy states.</summary>
    PreCopy = 4,
}
