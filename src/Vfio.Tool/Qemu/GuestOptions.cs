namespace Vfio.Tool.Qemu;

/// <summary>What a <see cref="GuestMachine"/> is made of.</summary>
public sealed record GuestOptions
{
    /// <summary>The devices present at boot. A vfio-user server must listen before the machine starts.</summary>
    public IReadOnlyList<QemuDevice> Devices { get; init; } = [];

    /// <summary>RAM in MiB.</summary>
    public int Memory { get; init; } = 128;

    /// <summary>
    /// Whether RAM is a memfd that a vfio-user server can map. Not for a guest that executes what it reads from a served disk: emulation without
    /// KVM keeps translated code, and does not see what another process stores into memory.
    /// </summary>
    public bool SharedMemory { get; init; } = true;

    /// <summary>Processors.</summary>
    public int Processors { get; init; } = 1;

    /// <summary>
    /// Whether the machine has an IOMMU (VT-d with interrupt remapping), which the guest's own VFIO needs.
    /// </summary>
    public bool Iommu { get; init; }

    /// <summary>Empty root ports named <c>rp0</c>, <c>rp1</c> …, for hot-plugging.</summary>
    public int RootPorts { get; init; }

    /// <summary>
    /// Whether a reset (the guest's <c>reboot</c>, a panic) starts the guest again; otherwise it ends the machine.
    /// </summary>
    public bool AllowReboot { get; init; }

    /// <summary>Another kernel than that of the installation, with everything that the guest needs built in.</summary>
    public string? Kernel { get; init; }

    /// <summary>
    /// Whether the guest is for work with disks: Debian's kernel, which has ext4, and e2fsprogs, nvme-cli and fio. It boots in three times the time.
    /// </summary>
    public bool DiskTools { get; init; }

    /// <summary>
    /// Drivers of Debian's kernel to load (igb, igbvf, ioatdma, idxd), which our own has not; when there are any, that kernel is booted. It has no iommufd.
    /// </summary>
    public IReadOnlyList<string> Drivers { get; init; } = [];

    /// <summary>What starts the machine. With firmware, kernel and first process come from a disk and the options for them do not matter.</summary>
    public GuestBoot Boot { get; init; }

    /// <summary>More kernel arguments.</summary>
    public string KernelArguments { get; init; } = "";

    /// <summary>Files and folders of the host's to have in the guest, by their path there.</summary>
    public IReadOnlyDictionary<string, string> Files { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>More arguments for QEMU, before the devices.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>How long a boot may take. Generous: a loaded machine is ten times slower than an idle one.</summary>
    public TimeSpan BootTimeout { get; init; } = TimeSpan.FromSeconds(120);
}
