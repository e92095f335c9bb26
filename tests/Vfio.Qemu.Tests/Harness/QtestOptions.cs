namespace Vfio.Qemu.Tests.Harness;

/// <summary>What a <see cref="QtestMachine"/> is made of.</summary>
public sealed record QtestOptions
{
    /// <summary>The devices. A vfio-user server must listen before the machine starts.</summary>
    public IReadOnlyList<QemuDevice> Devices { get; init; } = [];

    /// <summary>
    /// Whether RAM is a memfd that a vfio-user server can map; otherwise its memory access goes through messages.
    /// </summary>
    public bool SharedMemory { get; init; } = true;

    /// <summary>RAM in MiB.</summary>
    public int Memory { get; init; } = 64;

    /// <summary>More arguments for QEMU, before the devices.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];
}
