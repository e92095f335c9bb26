namespace Vfio.Devices.Nvme;

/// <summary>How a <see cref="FileBackend"/> opens its file.</summary>
public sealed record FileBackendOptions
{
    /// <summary>Length in bytes that a file gets which is missing or empty; 0 when it must exist. One that exists keeps its length.</summary>
    public ulong CreateSize { get; init; }

    /// <summary>Whether it must exist and is not written.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>Whether reads and writes pass by the system's page cache (O_DIRECT).</summary>
    public bool IsDirect { get; init; }

    /// <summary>Whether the file is locked against other programs that lock it, as servers and QEMU do: for writing by one, for reading by many.</summary>
    public bool IsLocked { get; init; } = true;
}
