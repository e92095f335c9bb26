using System.Buffers.Binary;

namespace Vfio.Pci;

/// <content>Capabilities: their registers (PCI 3.0 §6.7, PCI PM 1.2, PCI Express 3.0 §7) and their places.</content>
public sealed partial class PciDeviceBuilder
{
    internal const ushort PowerId = 0x01;
    internal const ushort MsiId = 0x05;
    internal const ushort VendorId = 0x09;
    internal const ushort ExpressId = 0x10;
    internal const ushort MsixId = 0x11;
    private const ushort AerId = 0x0001;
    private const ushort SerialNumberId = 0x0003;
    private const ushort VendorExtendedId = 0x000B;

    /// <summary>Adds power management with D0 and D3hot; leaving D3hot does not reset the device.</summary>
    /// <param name="offset">Where, or 0 for anywhere.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder PowerManagement(int offset = 0) => Add(
        new PciCapability { Name = "power management", Id = PowerId, Size = 8, FixedOffset = offset }
            .Register(2, 2, 0x0003)
            .Register(4, 2, 0x0008, writable: 0x0003, watch: ConfigEvents.Power));

    /// <summary>Makes the device a PCI Express endpoint with 4096 bytes of configuration space.</summary>
    /// <param name="functionLevelReset">Whether it offers function level reset.</param>
    /// <param name="offset">Where, or 0 for anywhere.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder PciExpress(bool functionLevelReset = true, int offset = 0)
    {
        _extended = true;
        return Add(
            new PciCapability { Name = "PCI Express", Id = ExpressId, Size = 0x3C, FixedOffset = offset }
                .Register(0x02, 2, 0x0002)
                .Register(0x04, 4, 0x00008000UL | (functionLevelReset ? 0x10000000UL : 0))
                .Register(0x08, 2, 0x2810, writable: 0x7FFF, trigger: functionLevelReset ? 0x8000UL : 0, watch: ConfigEvents.FunctionReset)
                .Register(0x0A, 2, 0, clearable: 0x000F)
                .Register(0x0C, 4, 0x00000011)
                .Register(0x10, 2, 0, writable: 0x00CB)
                .Register(0x12, 2, 0x0011)
                .Register(0x2C, 4, 0x00000002)
                .Register(0x30, 2, 0x0001, writable: 0x000F));
    }

    /// <summary>Adds message signalled interrupts with 64-bit addresses.</summary>
    /// <param name="vectors">1, 2, 4, 8, 16 or 32.</param>
    /// <param name="maskable">Whether each vector has a mask and a pending bit.</param>
    /// <param name="offset">Where, or 0 for anywhere.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Msi(int vectors = 1, bool maskable = false, int offset = 0)
    {
        if (vectors is < 1 or > 32 || !int.IsPow2(vectors))
        {
            _mistakes.Add($"{vectors} MSI vectors; 1, 2, 4, 8, 16 or 32 are accepted.");
            return this;
        }

        _msi = (vectors, maskable);
        ulong control = ((ulong)int.Log2(vectors) << 1) | 0x80 | (maskable ? 0x100UL : 0);
        PciCapability capability = new PciCapability { Name = "MSI", Id = MsiId, Size = maskable ? 0x18 : 0x0E, FixedOffset = offset }
            .Register(0x02, 2, control, writable: 0x0071, watch: ConfigEvents.Msi)
            .Register(0x04, 8, 0, writable: 0xFFFFFFFF_FFFFFFFC)
            .Register(0x0C, 2, 0, writable: 0xFFFF);
        if (maskable)
        {
            capability.Register(0x10, 4, 0, writable: (1UL << vectors) - 1, watch: ConfigEvents.Msi).Register(0x14, 4, 0);
        }

        return Add(capability);
    }

    /// <summary>Adds message signalled interrupts with a table.</summary>
    /// <param name="vectors">1 to 2048.</param>
    /// <param name="bar">The memory BAR that holds table and pending bits. One that is not declared is made, as large as they need.</param>
    /// <param name="tableOffset">Offset of the table in the BAR, a multiple of 8.</param>
    /// <param name="pbaOffset">Offset of the pending bits, a multiple of 8; null for right behind the table.</param>
    /// <param name="policy">What accesses to the table see.</param>
    /// <param name="offset">Where in configuration space, or 0 for anywhere.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Msix(int vectors, int bar, ulong tableOffset = 0, ulong? pbaOffset = null, MsixTablePolicy policy = MsixTablePolicy.Live, int offset = 0)
    {
        _msix = (vectors, bar, tableOffset, pbaOffset ?? ulong.MaxValue, policy);

        // The registers are completed when the table is placed.
        return Add(new PciCapability { Name = "MSI-X", Id = MsixId, Size = 12, FixedOffset = offset });
    }

    /// <summary>Adds a vendor specific capability.</summary>
    /// <param name="content">What follows id, next pointer and length; at most 252 bytes.</param>
    /// <param name="writable">Which bits software can write, byte by byte; empty for none, else as long as the content.</param>
    /// <param name="offset">Where, or 0 for anywhere.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Vendor(ReadOnlySpan<byte> content, ReadOnlySpan<byte> writable = default, int offset = 0)
    {
        if (content.Length > 252 || (!writable.IsEmpty && writable.Length != content.Length))
        {
            _mistakes.Add($"a vendor capability has {content.Length} bytes and {writable.Length} bytes of write mask; at most 252 and as many, or no mask, are accepted.");
            return this;
        }

        PciCapability capability = new PciCapability { Name = "vendor specific", Id = VendorId, Size = content.Length + 3, FixedOffset = offset }
            .Register(2, 1, (ulong)content.Length + 3);
        Bytes(capability, 3, content, writable);
        return Add(capability);
    }

    /// <summary>Adds advanced error reporting: statuses that are cleared by writing ones, masks, severities.</summary>
    /// <param name="offset">Where, or 0 for anywhere; the first extended capability lies at 0x100.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Aer(int offset = 0) => AddExtended(
        new PciCapability { Name = "advanced error reporting", Id = AerId, Version = 2, Size = 0x48, IsExtended = true, FixedOffset = offset }
            .Register(0x04, 4, 0, clearable: 0x07FFF030)
            .Register(0x08, 4, 0x00400000, writable: 0x07FFF030)
            .Register(0x0C, 4, 0x00462030, writable: 0x07FFF030)
            .Register(0x10, 4, 0, clearable: 0x0000F1C1)
            .Register(0x14, 4, 0x0000E000, writable: 0x0000F1C1));

    /// <summary>Adds a device serial number (an EUI-64).</summary>
    /// <param name="number">The number.</param>
    /// <param name="offset">Where, or 0 for anywhere.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder SerialNumber(ulong number, int offset = 0) => AddExtended(
        new PciCapability { Name = "serial number", Id = SerialNumberId, Size = 12, IsExtended = true, FixedOffset = offset }
            .Register(4, 8, number));

    /// <summary>Adds a vendor specific extended capability.</summary>
    /// <param name="id">The vendor's id of it.</param>
    /// <param name="revision">0 to 15.</param>
    /// <param name="content">What follows the two headers.</param>
    /// <param name="writable">Which bits software can write, byte by byte; empty for none, else as long as the content.</param>
    /// <param name="offset">Where, or 0 for anywhere.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder VendorExtended(ushort id, int revision, ReadOnlySpan<byte> content, ReadOnlySpan<byte> writable = default, int offset = 0)
    {
        if (content.Length > 0xF00 - 8 || (!writable.IsEmpty && writable.Length != content.Length) || revision is < 0 or > 15)
        {
            _mistakes.Add($"extended vendor capability 0x{id:X}: revision {revision}, {content.Length} bytes, {writable.Length} bytes of write mask; revisions 0 to 15, at most 3832 bytes and as many, or no mask, are accepted.");
            return this;
        }

        PciCapability capability = new PciCapability { Name = "vendor specific (extended)", Id = VendorExtendedId, Size = content.Length + 8, IsExtended = true, FixedOffset = offset }
            .Register(4, 4, id | ((ulong)revision << 16) | ((ulong)(content.Length + 8) << 20));
        Bytes(capability, 8, content, writable);
        return AddExtended(capability);
    }

    private static void Bytes(PciCapability capability, int offset, ReadOnlySpan<byte> content, ReadOnlySpan<byte> writable)
    {
        for (int i = 0; i < content.Length; i++)
        {
            capability.Register(offset + i, 1, content[i], writable.IsEmpty ? 0UL : writable[i], watch: ConfigEvents.Vendor);
        }
    }

    private PciDeviceBuilder AddExtended(PciCapability capability)
    {
        _extended = true;
        return Add(capability);
    }

    private PciDeviceBuilder Add(PciCapability capability)
    {
        bool mayRepeat = capability.Id == (capability.IsExtended ? VendorExtendedId : VendorId);
        if (!mayRepeat && _capabilities.Exists(c => c.Id == capability.Id && c.IsExtended == capability.IsExtended))
        {
            _mistakes.Add($"the {capability.Name} capability is declared twice; a function has one.");
            return this;
        }

        _capabilities.Add(capability);
        return this;
    }

    private void PlaceCapabilities()
    {
        if (_extended && !_capabilities.Exists(c => !c.IsExtended && c.Id == ExpressId))
        {
            _mistakes.Add("extended capabilities need a PCI Express device; call PciExpress().");
        }

        Place(extended: false, HeaderLength, ConfigSpace.ConventionalLength);
        Place(extended: true, ConfigSpace.ConventionalLength, ConfigSpace.ExtendedLength);
        if (_capabilities.Exists(c => c.IsExtended) && !_capabilities.Exists(c => c.IsExtended && c.Offset == ConfigSpace.ConventionalLength))
        {
            _mistakes.Add("no extended capability lies at 0x100, where their list starts; place the first one there or let it be placed.");
        }
    }

    private void Place(bool extended, int start, int end)
    {
        var taken = new List<(int Offset, int End, string Name)>();
        foreach (PciCapability c in _capabilities.Where(c => c.IsExtended == extended && c.FixedOffset != 0))
        {
            c.Offset = c.FixedOffset;
            if (c.Offset % 4 != 0 || c.Offset < start || c.Offset > end - c.Size)
            {
                _mistakes.Add($"the {c.Name} capability is placed at {Hex((ulong)(uint)c.Offset)} and takes {Hex((ulong)c.Size)} bytes; multiples of 4 from {Hex((ulong)start)} with its end at most at {Hex((ulong)end)} are accepted.");
            }

            foreach ((int offset, int other, string name) in taken)
            {
                if (c.Offset < other && offset < c.Offset + c.Size)
                {
                    _mistakes.Add($"the {c.Name} capability at {Hex((ulong)(uint)c.Offset)} overlaps {name}, which takes {Hex((ulong)(uint)offset)} to {Hex((ulong)(uint)other)}.");
                }
            }

            taken.Add((c.Offset, c.Offset + c.Size, c.Name));
        }

        foreach (PciCapability c in _capabilities.Where(c => c.IsExtended == extended && c.FixedOffset == 0))
        {
            int candidate = start;
            foreach ((int offset, int other, _) in taken.OrderBy(t => t.Offset))
            {
                if (candidate + c.Size <= offset)
                {
                    break;
                }

                candidate = Math.Max(candidate, (other + 3) & ~3);
            }

            if (candidate + c.Size > end)
            {
                _mistakes.Add($"no room is left for the {c.Name} capability of {Hex((ulong)c.Size)} bytes; all of one kind must fit between {Hex((ulong)start)} and {Hex((ulong)end)}.");
                continue;
            }

            c.Offset = candidate;
            taken.Add((candidate, candidate + c.Size, c.Name));
        }
    }

    private void LinkCapabilities(ConfigSpace config)
    {
        PciCapability[] standard = [.. _capabilities.Where(c => !c.IsExtended)];
        config.Define(PciRegister.CapabilityPointer, 1, standard.Length == 0 ? 0UL : (ulong)standard[0].Offset);
        for (int i = 0; i < standard.Length; i++)
        {
            int next = i + 1 < standard.Length ? standard[i + 1].Offset : 0;
            config.Define(standard[i].Offset, 2, standard[i].Id | ((ulong)next << 8));
            standard[i].WriteTo(config);
            if (standard[i].Id == MsixId && _msix is { } msix)
            {
                int at = standard[i].Offset;
                config.Define(at + 2, 2, (ulong)(msix.Vectors - 1), writable: 0xC000, watch: ConfigEvents.Msix);
                config.Define(at + 4, 4, msix.Table | (uint)msix.Bar);
                config.Define(at + 8, 4, msix.Pba | (uint)msix.Bar);
            }
        }

        // The list starts at 0x100, so that one comes first.
        PciCapability[] extended = [.. _capabilities.Where(c => c.IsExtended).OrderBy(c => c.Offset == ConfigSpace.ConventionalLength ? 0 : 1)];
        Span<byte> header = stackalloc byte[4];
        for (int i = 0; i < extended.Length; i++)
        {
            int next = i + 1 < extended.Length ? extended[i + 1].Offset : 0;
            BinaryPrimitives.WriteUInt32LittleEndian(header, extended[i].Id | ((uint)extended[i].Version << 16) | ((uint)next << 20));
            config.Define(extended[i].Offset, 4, BinaryPrimitives.ReadUInt32LittleEndian(header));
            extended[i].WriteTo(config);
        }
    }
}
