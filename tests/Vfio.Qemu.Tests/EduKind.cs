namespace Vfio.Qemu.Tests;

/// <summary>Where a machine's edu comes from. The same expectations hold for all: QEMU's own is the reference.</summary>
public enum EduKind
{
    /// <summary>QEMU's own.</summary>
    Qemu,

    /// <summary>Ours over vfio-user, RAM mapped by the server.</summary>
    SharedMemory,

    /// <summary>Ours over vfio-user, RAM reached by messages to QEMU.</summary>
    Messages,

    /// <summary>Ours over vfio-user, where QEMU waits for the answer to every write.</summary>
    AnsweredWrites,
}
