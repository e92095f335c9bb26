using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>
/// Doorbells as registers (NVMe over PCIe 1.0 §3.1.2): for each queue pair the tail of the submission queue and the head of the
/// completion queue, 4 bytes each (CAP.DSTRD is 0).
/// </summary>
internal sealed class DoorbellBlock(NvmeController controller, int queues) : RegisterBlock("nvme doorbells", (ulong)queues * Stride)
{
    /// <summary>Bytes of a pair of doorbells.</summary>
    public const int Stride = 8;

    public override int MaxAccessWidth => 4;

    /// <summary>What a doorbell reads is not specified: zero.</summary>
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = 0;
        return width == 4 ? AccessResult.Ok : AccessResult.InvalidAccessSize;
    }

    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        if (width != 4)
        {
            return AccessResult.InvalidAccessSize;
        }

        controller.Ring((int)(offset / Stride), isHead: offset % Stride != 0, (uint)value);
        return AccessResult.Ok;
    }

    public override string Describe(ulong offset)
        => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{(offset % Stride == 0 ? "SQ" : "CQ")}{offset / Stride} doorbell");
}
