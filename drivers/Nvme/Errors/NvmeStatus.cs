namespace Vfio.Drivers.Nvme;

/// <summary>How a command ended: the status field of its completion (Base 2.0 §3.3.3.2.1), without the phase tag.</summary>
/// <param name="Value">The 15 bits as the device wrote them.</param>
public readonly record struct NvmeStatus(ushort Value)
{
    /// <summary>Whether the command did what it was to do.</summary>
    public bool IsSuccess => (Value & 0x7FF) == 0;

    /// <summary>Status code type (SCT).</summary>
    public NvmeStatusType Type => (NvmeStatusType)(Value >> 8 & 0x7);

    /// <summary>Status code (SC).</summary>
    public byte Code => (byte)Value;

    /// <summary>Which of the controller's retry delays is to pass before a retry (CRD); 0: none.</summary>
    public int RetryDelayIndex => Value >> 11 & 0x3;

    /// <summary>Whether the error log has more (M).</summary>
    public bool HasMore => (Value >> 13 & 1) != 0;

    /// <summary>Whether the same command would fail again (DNR).</summary>
    public bool DoNotRetry => (Value >> 14 & 1) != 0;

    /// <summary>The standard's name of the code, such as "LBA Out of Range"; "unknown" for one that it does not name.</summary>
    public string Name => NvmeStatusNames.Find(Type, Code) ?? (Type == NvmeStatusType.VendorSpecific ? "Vendor Specific" : "unknown");

    /// <summary>Name, type and code: "LBA Out of Range (SCT 0h, SC 80h, do not retry)".</summary>
    /// <returns>The text.</returns>
    public override string ToString() => $"{Name} (SCT {(int)Type:X}h, SC {Code:X2}h{(DoNotRetry ? ", do not retry" : string.Empty)})";
}
