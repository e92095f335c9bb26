namespace Vfio.Drivers.Nvme;

/// <summary>The CAP property, decoded (Base 2.0 §3.1.3.1).</summary>
/// <param name="Value">The 64 bits as read.</param>
public readonly record struct ControllerCapabilities(ulong Value)
{
    /// <summary>Entries that an I/O queue may have at most (MQES + 1).</summary>
    public int MaximumQueueEntries => (int)(Value & 0xFFFF) + 1;

    /// <summary>Whether queues must be physically contiguous (CQR); ours always are.</summary>
    public bool RequiresContiguousQueues => (Value >> 16 & 1) != 0;

    /// <summary>The longest time that enabling and disabling take (TO), 0 to 127.5 seconds.</summary>
    public TimeSpan Timeout => TimeSpan.FromMilliseconds((Value >> 24 & 0xFF) * 500);

    /// <summary>Bytes from one doorbell to the next (DSTRD): 4 to 128 KiB.</summary>
    public int DoorbellStride => 4 << (int)(Value >> 32 & 0xF);

    /// <summary>Whether the NVM command set is supported (CSS bit 0).</summary>
    public bool SupportsNvmCommandSet => (Value >> 37 & 1) != 0;

    /// <summary>Whether I/O command sets are chosen by namespace (CSS bit 6).</summary>
    public bool SupportsCommandSets => (Value >> 43 & 1) != 0;

    /// <summary>Whether only the admin command set is supported (CSS bit 7).</summary>
    public bool SupportsAdminOnly => (Value >> 44 & 1) != 0;

    /// <summary>The smallest memory page, as a power of two (12 + MPSMIN).</summary>
    public int MinimumPageShift => 12 + (int)(Value >> 48 & 0xF);

    /// <summary>The largest memory page, as a power of two (12 + MPSMAX).</summary>
    public int MaximumPageShift => 12 + (int)(Value >> 52 & 0xF);
}
