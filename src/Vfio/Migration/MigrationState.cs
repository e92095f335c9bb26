namespace Vfio;

/// <summary>Device states of migration version 2 (<c>enum vfio_device_mig_state</c>, spec vfio-core §6.1).</summary>
public enum MigrationState : uint
{
    /// <summary>The device is lost; only a reset returns it to <see cref="Running"/>. Never a target.</summary>
    Error,

    /// <summary>No DMA, no interrupts, internal state frozen.</summary>
    Stop,

    /// <summary>Normal operation: the state after open and after reset.</summary>
    Running,

    /// <summary>Stopped, and the whole state can be read from the data file.</summary>
    StopCopy,

    /// <summary>Stopped, and the state is being written into the data file.</summary>
    Resuming,

    /// <summary>Running, but starts no DMA to peers.</summary>
    RunningP2P,

    /// <summary>Running, and changes can be read from the data file.</summary>
    PreCopy,

    /// <summary><see cref="PreCopy"/> without DMA to peers.</summary>
    PreCopyP2P,
}
