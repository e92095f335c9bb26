namespace Vfio.Tool.Qemu;

/// <summary>What starts a <see cref="GuestMachine"/>.</summary>
public enum GuestBoot
{
    /// <summary>QEMU loads the kernel itself.</summary>
    Kernel,

    /// <summary>SeaBIOS boots one of the machine's disks.</summary>
    Bios,

    /// <summary>OVMF boots one of the machine's disks.</summary>
    Uefi,
}
