using System.Globalization;

namespace Vfio.Pci;

/// <summary>Declares a PCI function: identity, BARs, capabilities, interrupts. Given to <see cref="VfioPciDevice.Configure"/>.</summary>
/// <remarks>
/// Mistakes do not stop the declaration: all of them are collected and thrown as one <see cref="PciConfigurationException"/>, each
/// with what is accepted. Capabilities are linked in the order of their declaration.
/// </remarks>
public sealed partial class PciDeviceBuilder
{
    private const int HeaderLength = 0x40;
    private const int MaxMsixVectors = 2048;
    private readonly List<string> _mistakes = [];
    private readonly Dictionary<int, PciBarBuilder> _bars = [];
    private readonly List<PciCapability> _capabilities = [];
    private readonly List<PciDoorbell> _doorbells = [];
    private (ushort Vendor, ushort Device, byte Revision)? _id;
    private (ushort Vendor, ushort Device) _subsystem;
    private (byte Base, byte Sub, byte Interface)? _class;
    private byte[]? _rom;
    private int _pin;
    private bool _extended;
    private bool _enforceDecode;
    private bool _isMigratable;
    private bool _canReset = true;
    private (int Vectors, bool Maskable)? _msi;
    private (int Vectors, int Bar, ulong Table, ulong Pba, MsixTablePolicy Policy)? _msix;

    internal PciDeviceBuilder()
    {
    }

    /// <summary>Says who made the device.</summary>
    /// <param name="vendor">Vendor id; not 0xFFFF, which means that nothing is there.</param>
    /// <param name="device">Device id.</param>
    /// <param name="revision">Revision id.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Id(ushort vendor, ushort device, byte revision = 0)
    {
        if (vendor == 0xFFFF)
        {
            _mistakes.Add("vendor id 0xFFFF means that no device is there; use a real one, for example 0x1234.");
        }

        _id = (vendor, device, revision);
        return this;
    }

    /// <summary>Says who made the board.</summary>
    /// <param name="vendor">Subsystem vendor id.</param>
    /// <param name="device">Subsystem id.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Subsystem(ushort vendor, ushort device)
    {
        _subsystem = (vendor, device);
        return this;
    }

    /// <summary>Says what the device does, by the PCI class codes.</summary>
    /// <param name="baseClass">Base class, for example 0x07 for communication controllers.</param>
    /// <param name="subClass">Subclass.</param>
    /// <param name="programmingInterface">Programming interface.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Class(byte baseClass, byte subClass, byte programmingInterface = 0)
    {
        _class = (baseClass, subClass, programmingInterface);
        return this;
    }

    /// <summary>Gives the device an interrupt pin.</summary>
    /// <param name="pin">1 to 4 for INTA to INTD.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Intx(int pin = 1)
    {
        if (pin is < 1 or > 4)
        {
            _mistakes.Add($"interrupt pin {pin} does not exist; 1 to 4 stand for INTA to INTD.");
        }

        _pin = pin;
        return this;
    }

    /// <summary>Declares a BAR that is one block of registers, from its first byte.</summary>
    /// <param name="index">0 to 5.</param>
    /// <param name="block">The registers.</param>
    /// <param name="size">Size in bytes, a power of two; 0 for the block's size rounded up.</param>
    /// <param name="kind">Kind of address space.</param>
    /// <param name="prefetchable">Whether reads have no side effects and writes may be merged.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Bar(int index, RegisterBlock block, ulong size = 0, PciBarKind kind = PciBarKind.Memory32, bool prefetchable = false)
    {
        ArgumentNullException.ThrowIfNull(block);
        ulong minimum = kind == PciBarKind.Io ? 4UL : 16UL;
        return Bar(index, size == 0 ? Math.Max(minimum, RoundUp(block.Size)) : size, kind, prefetchable, bar => bar.Registers(0, block));
    }

    /// <summary>Declares a BAR that is shared memory as a whole.</summary>
    /// <param name="index">0 to 5.</param>
    /// <param name="memory">The memory, a power of two in size; the device disposes it.</param>
    /// <param name="kind">Kind of address space, not I/O.</param>
    /// <param name="prefetchable">Whether reads have no side effects and writes may be merged.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Bar(int index, BarMemory memory, PciBarKind kind = PciBarKind.Memory64, bool prefetchable = true)
    {
        ArgumentNullException.ThrowIfNull(memory);
        return Bar(index, memory.Size, kind, prefetchable, bar => bar.Memory(0, memory));
    }

    /// <summary>Declares a BAR with several parts.</summary>
    /// <param name="index">0 to 5; a 64-bit BAR takes the next index as well and starts at an even one.</param>
    /// <param name="size">Size in bytes: a power of two, at least 16 for memory, 4 to 256 for I/O.</param>
    /// <param name="kind">Kind of address space.</param>
    /// <param name="prefetchable">Whether reads have no side effects and writes may be merged.</param>
    /// <param name="content">Places the parts. What is not placed reads as ones and ignores writes.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Bar(int index, ulong size, PciBarKind kind, bool prefetchable, Action<PciBarBuilder>? content = null)
    {
        var bar = new PciBarBuilder(index, kind, prefetchable, size);
        content?.Invoke(bar);
        if (index is < 0 or > 5)
        {
            _mistakes.Add($"BAR {index} does not exist; a function has BAR 0 to 5.");
        }
        else if (!_bars.TryAdd(index, bar))
        {
            _mistakes.Add($"BAR {index} is declared twice; place all parts in one declaration.");
        }

        return this;
    }

    /// <summary>Gives the device an expansion ROM.</summary>
    /// <param name="content">The image, at most 16 MiB; the BAR's size is the next power of two, at least 2 KiB.</param>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder Rom(ReadOnlySpan<byte> content)
    {
        if (content.Length is 0 or > 16 << 20)
        {
            _mistakes.Add($"the ROM has {content.Length} bytes; 1 byte to 16 MiB are accepted.");
        }

        _rom = content.ToArray();
        return this;
    }

    /// <summary>Declares a place in a BAR that users may ring through an eventfd. A plain write there rings as well.</summary>
    /// <param name="bar">The BAR.</param>
    /// <param name="offset">Offset in the BAR, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">Width of the write that rings: 1, 2, 4, 8; 0 for any.</param>
    /// <param name="callback">
    /// Runs with the state lock held; gets the written value, or null when it is not known because the eventfd was rung. Several
    /// rings may arrive as one.
    /// </param>
    /// <param name="dataMatch">When given, only writes of this value ring, and the callback always gets it.</param>
    /// <returns>This builder.</returns>
    /// <remarks>Doorbells take precedence over registers at the same place; reads go to the registers.</remarks>
    public PciDeviceBuilder Doorbell(int bar, ulong offset, int width, Action<ulong?> callback, ulong? dataMatch = null)
    {
        ArgumentNullException.ThrowIfNull(callback);
        _doorbells.Add(new PciDoorbell { Bar = bar, Offset = offset, Width = width, Callback = callback, DataMatch = dataMatch });
        return this;
    }

    /// <summary>
    /// Makes accesses to BARs fail with EIO while the Command register's memory or I/O enable bit is off, as the kernel does. The
    /// default answers always: users of vfio-user that never set the bits are common (<c>docs/adr</c> on memory decode).
    /// </summary>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder EnforceDecode()
    {
        _enforceDecode = true;
        return this;
    }

    /// <summary>
    /// Says that the device can be migrated, by stop-copy and pre-copy, and logs what its DMA writes. Its state are its register files, what its works
    /// wait for, and what <see cref="VfioPciDevice.SaveState"/> adds.
    /// </summary>
    /// <returns>This builder.</returns>
    /// <remarks>
    /// Configuration space, interrupts and shared BAR memory are not in it: their user sets them up again, as with vfio-pci
    /// (<c>docs/adr/0406-migration-of-pci-devices.md</c>).
    /// </remarks>
    public PciDeviceBuilder Migratable()
    {
        _isMigratable = true;
        return this;
    }

    /// <summary>Says that the device has no reset of its own: DEVICE_RESET is then refused with EINVAL.</summary>
    /// <returns>This builder.</returns>
    public PciDeviceBuilder WithoutReset()
    {
        _canReset = false;
        return this;
    }

    internal PciConfiguration Build(VfioPciDevice? owner = null)
    {
        if (_isVirtual && (_pin != 0 || _token is not null))
        {
            _mistakes.Add("a virtual function has no interrupt pin and is no physical function; leave Intx() and PhysicalFunction() out.");
        }

        if (_id is null)
        {
            _mistakes.Add("the device has no identity; call Id(vendor, device).");
        }

        if (_class is null)
        {
            _mistakes.Add("the device has no class; call Class(base, sub), for example Class(0xFF, 0x00) for one that fits nowhere.");
        }

        PlaceMsix();
        CheckBars();
        CheckDoorbells();
        PlaceCapabilities();
        if (_mistakes.Count != 0)
        {
            throw new PciConfigurationException(_mistakes);
        }

        var config = new ConfigSpace(_extended ? ConfigSpace.ExtendedLength : ConfigSpace.ConventionalLength);
        ulong romSize = _rom is null ? 0 : Math.Max(2048, RoundUp((ulong)_rom.Length));
        WriteHeader(config, romSize);
        LinkCapabilities(config);
        PciCapability? msi = _capabilities.Find(c => !c.IsExtended && c.Id == MsiId);
        PciCapability? msix = _capabilities.Find(c => !c.IsExtended && c.Id == MsixId);
        var interrupts = new PciInterrupts(
            config,
            _pin != 0,
            _msi is { } m ? new MsiLayout(msi!.Offset, m.Vectors, m.Maskable, Is64Bit: true) : null,
            _msix is { } x ? new MsixLayout(msix!.Offset, x.Vectors, x.Bar, x.Table, x.Pba) : null);
        var bars = new PciBar?[6];
        foreach (PciBarBuilder declared in _bars.Values)
        {
            bars[declared.Index] = Freeze(declared, interrupts);
        }

        return new PciConfiguration
        {
            Config = config,
            Bars = bars,
            Rom = _rom,
            RomSize = romSize,
            Interrupts = interrupts,
            PowerOffset = _capabilities.Find(c => !c.IsExtended && c.Id == PowerId)?.Offset ?? 0,
            ExpressOffset = _capabilities.Find(c => !c.IsExtended && c.Id == ExpressId)?.Offset ?? 0,
            EnforceDecode = _enforceDecode,
            IsMigratable = _isMigratable,
            CanReset = _canReset,
            Doorbells = [.. _doorbells],
            Place = _place is { } place ? new PciFunction(place.Bus, place.Device, place.Function) { Device = owner } : null,
            Token = _token,
            VirtualFunctions = _virtualFunctions,
            SingleRootOffset = _capabilities.Find(c => c.IsExtended && c.Id == SingleRootId)?.Offset ?? 0,
            IsVirtualFunction = _isVirtual,
            PhysicalFunction = _physical,
        };
    }

    private static ulong RoundUp(ulong size) => size > 1UL << 62 ? 1UL << 63 : System.Numerics.BitOperations.RoundUpToPowerOf2(size);

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:X}");

    private static ulong TableLength(int vectors) => (ulong)vectors * 16;

    private static ulong PbaLength(int vectors) => (((ulong)vectors + 63) / 64) * 8;

    private PciBar Freeze(PciBarBuilder declared, PciInterrupts interrupts)
    {
        List<BarArea> areas = [.. declared.Areas.OrderBy(a => a.Offset)];
        bool holdsTable = false;
        if (_msix is { } msix && msix.Bar == declared.Index)
        {
            holdsTable = true;
            RegisterBlock table = msix.Policy == MsixTablePolicy.Live ? new MsixTableBlock(interrupts, TableLength(msix.Vectors)) : new HiddenBlock("MSI-X table", TableLength(msix.Vectors));
            areas.Insert(0, new BarArea { Offset = msix.Table, Length = table.Size, Block = table, IsOverlay = true });
            var pba = new MsixPendingBlock(interrupts, PbaLength(msix.Vectors));
            areas.Insert(1, new BarArea { Offset = msix.Pba, Length = pba.Size, Block = pba, IsOverlay = true });
        }

        JoinMemory(declared.Index, areas);
        return new PciBar
        {
            Index = declared.Index,
            Kind = declared.Kind,
            Prefetchable = declared.Prefetchable,
            Size = declared.Size,
            Areas = [.. areas],
            Doorbells = [.. _doorbells.Where(d => d.Bar == declared.Index).OrderBy(d => d.Offset)],
            Mappable = [.. areas.Where(a => a.Memory is not null)],
            HoldsMsixTable = holdsTable,
        };
    }

    /// <summary>Puts the shared memory of a BAR into one file, unless it is one memory at the BAR's start.</summary>
    private static void JoinMemory(int index, List<BarArea> areas)
    {
        BarArea[] mappable = [.. areas.Where(a => a.Memory is not null)];
        if (mappable.Length == 0 || (mappable.Length == 1 && mappable[0].Offset == 0))
        {
            return;
        }

        var file = new BarFile($"BAR {index}", mappable.Max(static a => a.End));
        foreach (BarArea area in mappable)
        {
            area.Memory!.MoveTo(file, area.Offset);
        }
    }

    private void PlaceMsix()
    {
        if (_msix is not { } msix)
        {
            return;
        }

        if (msix.Vectors is < 1 or > MaxMsixVectors)
        {
            _mistakes.Add($"{msix.Vectors} MSI-X vectors; 1 to {MaxMsixVectors} are accepted.");
            return;
        }

        ulong table = TableLength(msix.Vectors);
        ulong pba = PbaLength(msix.Vectors);
        if (msix.Pba == ulong.MaxValue)
        {
            _msix = msix with { Pba = (msix.Table + table + 7) & ~7UL };
            msix = _msix.Value;
        }

        if (msix.Bar is < 0 or > 5)
        {
            _mistakes.Add($"the MSI-X table is placed in BAR {msix.Bar}; a function has BAR 0 to 5.");
            return;
        }

        if (msix.Table % 8 != 0 || msix.Pba % 8 != 0 || msix.Table > uint.MaxValue || msix.Pba > uint.MaxValue)
        {
            _mistakes.Add($"the MSI-X table at {Hex(msix.Table)} and pending bits at {Hex(msix.Pba)} must lie at multiples of 8 below 4 GiB.");
            return;
        }

        if (msix.Table < msix.Pba + pba && msix.Pba < msix.Table + table)
        {
            _mistakes.Add($"the MSI-X pending bits at {Hex(msix.Pba)} overlap the table, which takes {Hex(table)} bytes from {Hex(msix.Table)}; place them behind it.");
        }

        ulong end = Math.Max(msix.Table + table, msix.Pba + pba);
        if (!_bars.TryGetValue(msix.Bar, out PciBarBuilder? bar))
        {
            // A BAR of its own, as large as a page so that nothing else shares the page.
            _ = Bar(msix.Bar, Math.Max(4096, RoundUp(end)), PciBarKind.Memory32, prefetchable: false);
            return;
        }

        if (bar.Kind == PciBarKind.Io)
        {
            _mistakes.Add($"the MSI-X table lies in BAR {msix.Bar}, which is I/O; it needs a memory BAR.");
        }

        if (end > bar.Size)
        {
            _mistakes.Add($"MSI-X with {msix.Vectors} vectors ends at {Hex(end)}, outside BAR {msix.Bar} of {Hex(bar.Size)} bytes; make the BAR larger or move the table.");
        }

        foreach (BarArea area in bar.Areas.Where(a => a.Block is not null))
        {
            if (Overlaps(area, msix.Table, table) || Overlaps(area, msix.Pba, pba))
            {
                _mistakes.Add($"the MSI-X table or pending bits overlap registers '{area.Name}' in BAR {msix.Bar}; registers may not lie there.");
            }
        }
    }

    private static bool Overlaps(BarArea area, ulong offset, ulong length) => area.Offset < offset + length && offset < area.End;

    private void CheckBars()
    {
        foreach (PciBarBuilder bar in _bars.Values.OrderBy(b => b.Index))
        {
            ulong minimum = bar.Kind == PciBarKind.Io ? 4UL : 16UL;
            ulong maximum = bar.Kind switch { PciBarKind.Io => 256, PciBarKind.Memory32 => 1UL << 31, _ => 1UL << 39 };
            if (!ulong.IsPow2(bar.Size) || bar.Size < minimum || bar.Size > maximum)
            {
                _mistakes.Add($"BAR {bar.Index} has {Hex(bar.Size)} bytes; {bar.Kind} accepts powers of two from {Hex(minimum)} to {Hex(maximum)}.");
            }

            if (bar.Kind == PciBarKind.Memory64)
            {
                if (bar.Index % 2 != 0)
                {
                    _mistakes.Add($"BAR {bar.Index} is 64 bits wide; those start at BAR 0, 2 or 4.");
                }
                else if (_bars.ContainsKey(bar.Index + 1))
                {
                    _mistakes.Add($"BAR {bar.Index} is 64 bits wide and takes BAR {bar.Index + 1}, which is declared too; leave that one out.");
                }
            }

            if (bar.Kind == PciBarKind.Io && bar.Prefetchable)
            {
                _mistakes.Add($"BAR {bar.Index} is I/O and cannot be prefetchable.");
            }

            CheckAreas(bar);
        }
    }

    private void CheckAreas(PciBarBuilder bar)
    {
        BarArea? previous = null;
        foreach (BarArea area in bar.Areas.OrderBy(a => a.Offset))
        {
            if (area.Offset > bar.Size || area.Length > bar.Size - area.Offset)
            {
                _mistakes.Add($"'{area.Name}' takes {Hex(area.Length)} bytes from {Hex(area.Offset)}, outside BAR {bar.Index} of {Hex(bar.Size)} bytes.");
            }
            else if (previous is not null && area.Offset < previous.End)
            {
                _mistakes.Add($"'{area.Name}' at {Hex(area.Offset)} of BAR {bar.Index} overlaps '{previous.Name}', which ends at {Hex(previous.End)}.");
            }

            if (area.Memory is not null && (area.Offset % (ulong)Environment.SystemPageSize != 0 || bar.Kind == PciBarKind.Io))
            {
                _mistakes.Add($"shared memory '{area.Name}' at {Hex(area.Offset)} of BAR {bar.Index} must start at a page of a memory BAR.");
            }

            if (area.Block is { } block)
            {
                if (area.Offset % 8 != 0)
                {
                    _mistakes.Add($"registers '{area.Name}' start at {Hex(area.Offset)} of BAR {bar.Index}; a multiple of 8 is accepted.");
                }

                block.Validate(_mistakes);
            }

            previous = area;
        }
    }

    private void CheckDoorbells()
    {
        foreach (PciDoorbell bell in _doorbells)
        {
            if (bell.Width is not (0 or 1 or 2 or 4 or 8) || (bell.Width != 0 && bell.Offset % (ulong)bell.Width != 0))
            {
                _mistakes.Add($"the doorbell at {Hex(bell.Offset)} of BAR {bell.Bar} is {bell.Width} bytes wide; 1, 2, 4, 8 or 0 (any) at a multiple of the width are accepted.");
            }

            if (!_bars.TryGetValue(bell.Bar, out PciBarBuilder? bar) || bell.Offset >= bar.Size || (ulong)Math.Max(1, bell.Width) > bar.Size - bell.Offset)
            {
                _mistakes.Add($"the doorbell at {Hex(bell.Offset)} of BAR {bell.Bar} lies outside the declared BARs.");
            }
        }
    }

    private void WriteHeader(ConfigSpace config, ulong romSize)
    {
        (ushort vendor, ushort device, byte revision) = _id!.Value;
        (byte baseClass, byte subClass, byte programmingInterface) = _class!.Value;
        config.Define(PciRegister.VendorId, 2, vendor);
        config.Define(PciRegister.DeviceId, 2, device);
        config.Define(PciRegister.Revision, 1, revision);
        config.Define(PciRegister.ClassCode, 3, (ulong)programmingInterface | ((ulong)subClass << 8) | ((ulong)baseClass << 16));

        // All that a device may implement except special cycles, palette snoop, stepping and fast back-to-back, which read zero.
        config.Define(PciRegister.Command, 2, 0, writable: 0x0557, watch: ConfigEvents.Command);

        // Written ones clear the error bits: master data parity (8), target abort (11 to 13), system error (14), parity error (15).
        bool hasCapabilities = _capabilities.Exists(c => !c.IsExtended);
        config.Define(PciRegister.Status, 2, hasCapabilities ? 0x0010UL : 0, clearable: 0xF900);
        config.Define(PciRegister.CacheLine, 1, 0, writable: 0xFF);

        // Latency is read only zero in PCI Express devices, writable in conventional ones.
        config.Define(PciRegister.Latency, 1, 0, writable: _extended ? 0UL : 0xF8);
        foreach (PciBarBuilder bar in _bars.Values)
        {
            int offset = PciRegister.Bar0 + (bar.Index * 4);
            ulong type = bar.Kind switch { PciBarKind.Io => 1UL, PciBarKind.Memory64 => 4UL, _ => 0UL } | (bar.Prefetchable ? 8UL : 0);
            config.Define(offset, bar.Kind == PciBarKind.Memory64 ? 8 : 4, type, writable: ~(bar.Size - 1), watch: ConfigEvents.Bar);
        }

        if (romSize != 0)
        {
            config.Define(PciRegister.RomBar, 4, 0, writable: ~(romSize - 1) | 1, watch: ConfigEvents.Bar);
        }

        config.Define(PciRegister.SubsystemVendorId, 2, _subsystem.Vendor);
        config.Define(PciRegister.SubsystemId, 2, _subsystem.Device);
        config.Define(PciRegister.InterruptLine, 1, 0, writable: 0xFF);
        config.Define(PciRegister.InterruptPin, 1, (ulong)_pin);
    }
}
