namespace Vfio.Devices.Nvme;

/// <summary>The CC register (NVMe Base 2.0 §3.1.3.5).</summary>
internal readonly record struct ControllerConfiguration(uint Value)
{
    /// <summary>Bits that exist; the others read zero. CRIME is for controllers that get ready without their media.</summary>
    public const uint Mask = 0x00FF_FFF1;

    /// <summary>EN.</summary>
    public bool IsEnabled => (Value & 1) != 0;

    /// <summary>CSS: 0 for the NVM command set.</summary>
    public uint CommandSet => (Value >> 4) & 7;

    /// <summary>Logarithm of the host's page size, from MPS.</summary>
    public int PageShift => 12 + (int)((Value >> 7) & 15);

    /// <summary>AMS: 0 for round robin.</summary>
    public uint Arbitration => (Value >> 11) & 7;

    /// <summary>SHN: 0 none, 1 normal, 2 abrupt.</summary>
    public uint Shutdown => (Value >> 14) & 3;

    /// <summary>IOSQES: logarithm of the bytes of a submission entry.</summary>
    public uint SubmissionEntryShift => (Value >> 16) & 15;

    /// <summary>IOCQES: logarithm of the bytes of a completion entry.</summary>
    public uint CompletionEntryShift => (Value >> 20) & 15;
}
