using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>The controller properties at the start of BAR 0 (NVMe Base 2.0 §3.1.3).</summary>
internal static class ControllerRegisters
{
    /// <summary>Bytes before the doorbells.</summary>
    public const ulong Length = 0x1000;

    public static RegisterMap Create(NvmeController controller) => new RegisterMap("nvme", Length)
        .ReadOnly64(0x00, "CAP", () => controller.Capabilities, "capabilities: MQES, CQR, TO, CSS (NVM), MPSMIN 4 KiB, MPSMAX 64 KiB, CRWMS", RegisterWidths.Dword)
        .ReadOnly32(0x08, "VS", () => ControllerCapabilities.Version, "version 2.0")
        .ReadWrite32(0x0C, "INTMS", () => controller.InterruptMask, controller.SetInterruptMask, "written ones mask vectors of pin and MSI; reads the mask")
        .ReadWrite32(0x10, "INTMC", () => controller.InterruptMask, controller.ClearInterruptMask, "written ones unmask; reads the mask")
        .ReadWrite32(0x14, "CC", () => controller.Configuration.Value, controller.WriteConfiguration, "configuration: EN, CSS, MPS, AMS, SHN, IOSQES, IOCQES")
        .Reserved(0x18, 4)
        .ReadOnly32(0x1C, "CSTS", () => controller.Status, "status: RDY, CFS, SHST")
        .Reserved(0x20, 4, "NSSR (not supported)")
        .ReadWrite32(0x24, "AQA", () => controller.AdminQueueSizes, value => controller.AdminQueueSizes = value & 0x0FFF_0FFF, "entries of the admin queues, less one: ASQS 11:0, ACQS 27:16")
        .ReadWrite64(0x28, "ASQ", () => controller.AdminSubmissionAddress, value => controller.AdminSubmissionAddress = value & ~0xFFFUL, "address of the admin submission queue", RegisterWidths.Dword)
        .ReadWrite64(0x30, "ACQ", () => controller.AdminCompletionAddress, value => controller.AdminCompletionAddress = value & ~0xFFFUL, "address of the admin completion queue", RegisterWidths.Dword)
        .Reserved(0x38, 0x30, "CMB, boot partition (not supported)")
        .ReadOnly32(0x68, "CRTO", () => ControllerCapabilities.Timeout, "ready time-out: CRWMT, in units of 500 ms")
        .Reserved(0x6C, (int)Length - 0x6C);
}
