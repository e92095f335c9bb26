using Vfio.Abi;

namespace Vfio;

/// <summary>Configuration space of a connected PCI function by names. Each member asks the function anew.</summary>
/// <remarks>
/// The lists of capabilities are the device's word and bounded: a list that runs in circles or leaves the space ends there.
/// What the device refuses throws <see cref="VfioException"/>, as everything of <see cref="VfioRegion"/>.
/// </remarks>
public readonly struct PciFunctionConfig
{
    private const ushort StatusCapabilities = 0x10;
    private const int Conventional = 256;
    private const int HeaderEnd = 0x40;

    internal PciFunctionConfig(VfioRegion region) => Region = region;

    /// <summary>Configuration space as bytes.</summary>
    public VfioRegion Region { get; }

    /// <summary>Vendor.</summary>
    public ushort VendorId => Region.Read16(PciRegister.VendorId);

    /// <summary>Device, as its vendor numbers it.</summary>
    public ushort DeviceId => Region.Read16(PciRegister.DeviceId);

    /// <summary>Revision of the device.</summary>
    public byte Revision => Region.Read8(PciRegister.Revision);

    /// <summary>Base class, subclass and programming interface in 24 bits, as 0x010802 for NVMe.</summary>
    public uint ClassCode => Region.Read32(PciRegister.Revision) >> 8;

    /// <summary>Vendor of the board.</summary>
    public ushort SubsystemVendorId => Region.Read16(PciRegister.SubsystemVendorId);

    /// <summary>The board, as its vendor numbers it.</summary>
    public ushort SubsystemId => Region.Read16(PciRegister.SubsystemId);

    /// <summary>What the function may do.</summary>
    public PciCommand Command
    {
        get => (PciCommand)Region.Read16(PciRegister.Command);
        set => Region.Write16(PciRegister.Command, (ushort)value);
    }

    /// <summary>The MSI capability; null for a function without.</summary>
    public MsiCapability? Msi => Find(PciCapabilityId.Msi) is { } entry ? MsiCapability.Read(Region, entry.Offset) : null;

    /// <summary>The MSI-X capability; null for a function without.</summary>
    public MsixCapability? Msix => Find(PciCapabilityId.Msix) is { } entry ? MsixCapability.Read(Region, entry.Offset) : null;

    /// <summary>The PCI Express capability; null for a conventional function.</summary>
    public ExpressCapability? Express => Find(PciCapabilityId.Express) is { } entry ? ExpressCapability.Read(Region, entry.Offset) : null;

    /// <summary>Lets the function do more than it may now: each bit given is set, the others stay.</summary>
    /// <param name="bits">The bits.</param>
    public void Enable(PciCommand bits) => Command |= bits;

    /// <summary>Every capability: those of the first 256 bytes as they are linked, then the extended ones.</summary>
    /// <returns>The capabilities.</returns>
    public IReadOnlyList<PciCapabilityEntry> GetCapabilities()
    {
        List<PciCapabilityEntry> entries = [];
        if ((Region.Read16(PciRegister.Status) & StatusCapabilities) != 0)
        {
            int at = Region.Read8(PciRegister.CapabilityPointer) & ~3;
            for (int left = (Conventional - HeaderEnd) / 4; at is >= HeaderEnd and < Conventional && left > 0; left--)
            {
                ushort header = Region.Read16((ulong)at);
                entries.Add(new PciCapabilityEntry((byte)header, at, IsExtended: false, Version: 0));
                at = (header >> 8) & ~3;
            }
        }

        int end = (int)Math.Min(Region.Size, 4096) - sizeof(uint);
        for (int at = Conventional, left = (4096 - Conventional) / 8; at >= Conventional && at <= end && left > 0; left--)
        {
            uint header = Region.Read32((ulong)at);
            if (header is 0 or uint.MaxValue)
            {
                break;
            }

            entries.Add(new PciCapabilityEntry((ushort)header, at, IsExtended: true, (int)(header >> 16) & 0xF));
            at = (int)(header >> 20) & ~3;
        }

        return entries;
    }

    /// <summary>The first capability with a number.</summary>
    /// <param name="id">The number.</param>
    /// <returns>The capability, or null when there is none.</returns>
    public PciCapabilityEntry? Find(PciCapabilityId id) => Find((ushort)id, extended: false);

    /// <summary>The first extended capability with a number.</summary>
    /// <param name="id">The number.</param>
    /// <returns>The capability, or null when there is none.</returns>
    public PciCapabilityEntry? Find(PciExtendedCapabilityId id) => Find((ushort)id, extended: true);

    private PciCapabilityEntry? Find(ushort id, bool extended)
    {
        foreach (PciCapabilityEntry entry in GetCapabilities())
        {
            if (entry.Id == id && entry.IsExtended == extended)
            {
                return entry;
            }
        }

        return null;
    }
}
