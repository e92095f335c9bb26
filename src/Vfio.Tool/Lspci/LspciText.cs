using System.Text;

namespace Vfio.Tool.Lspci;

/// <summary>
/// Decodes a function's configuration space into the text that <c>lspci -vv</c> of pciutils prints. Registers follow PCI 3.0 §6 and
/// PCI Express 5.0 §7; the words, their order and the white space follow lspci, so that tools and eyes that know it can read this.
/// </summary>
/// <remarks>Functions with a type 0 header, which are all that VFIO knows.</remarks>
internal sealed partial class LspciText
{
    private const int Command = 0x04;
    private const int Status = 0x06;
    private const int FirstBar = 0x10;
    private const int RomBar = 0x30;
    private const ushort CommandIo = 0x0001;
    private const ushort CommandMemory = 0x0002;
    private const ushort CommandMaster = 0x0004;
    private readonly ConfigImage _config;
    private readonly PciNames _names;
    private readonly bool _numeric;
    private readonly StringBuilder _text = new();

    private LspciText(ConfigImage config, PciNames names, bool numeric)
    {
        _config = config;
        _names = names;
        _numeric = numeric;
    }

    /// <summary>The first line alone: slot, class, ids, revision, programming interface.</summary>
    public static string Summarize(ConfigImage config, PciNames names, bool numeric)
    {
        LspciText text = new(config, names, numeric);
        text.WriteSummary(verbose: false);
        return text._text.ToString();
    }

    /// <summary>Everything.</summary>
    /// <param name="config">The configuration space.</param>
    /// <param name="names">Names of vendors, devices, classes.</param>
    /// <param name="numeric">Whether to print ids instead of names.</param>
    public static string Decode(ConfigImage config, PciNames names, bool numeric)
    {
        LspciText text = new(config, names, numeric);
        text.WriteSummary(verbose: true);
        text.WriteHeader();
        text.WriteCapabilities();
        return text._text.ToString();
    }

    private static char Sign(uint value, int bit) => (value >> bit & 1) != 0 ? '+' : '-';

    private void Line(int depth, string text) => _text.Append('\t', depth).Append(text).Append('\n');

    private void WriteSummary(bool verbose)
    {
        ushort vendor = _config.Word(0x00);
        ushort device = _config.Word(0x02);
        byte revision = _config.Byte(0x08);
        byte programmingInterface = _config.Byte(0x09);
        byte subClass = _config.Byte(0x0A);
        byte baseClass = _config.Byte(0x0B);
        _text.Append(_numeric
            ? $"00:00.0 {baseClass:x2}{subClass:x2}: {vendor:x4}:{device:x4}"
            : $"00:00.0 {_names.Class(baseClass, subClass)}: {_names.Device(vendor, device)}");
        if (revision != 0)
        {
            _text.Append($" (rev {revision:x2})");
        }

        string? name = _names.Interface(baseClass, subClass, programmingInterface);
        if (verbose && (programmingInterface != 0 || name is not null))
        {
            _text.Append($" (prog-if {programmingInterface:x2}").Append(name is null ? ")" : $" [{name}])");
        }

        _text.Append('\n');
    }

    private void WriteHeader()
    {
        int type = _config.Byte(0x0E) & 0x7F;
        ushort boardVendor = _config.Word(0x2C);
        ushort board = _config.Word(0x2E);
        if (type == 0 && boardVendor is not (0 or 0xFFFF))
        {
            Line(1, "Subsystem: " + (_numeric
                ? $"{boardVendor:x4}:{board:x4}"
                : _names.Subsystem(_config.Word(0x00), _config.Word(0x02), boardVendor, board)));
        }

        ushort command = _config.Word(Command);
        ushort status = _config.Word(Status);
        Line(1, $"Control: I/O{Sign(command, 0)} Mem{Sign(command, 1)} BusMaster{Sign(command, 2)} SpecCycle{Sign(command, 3)} "
            + $"MemWINV{Sign(command, 4)} VGASnoop{Sign(command, 5)} ParErr{Sign(command, 6)} Stepping{Sign(command, 7)} "
            + $"SERR{Sign(command, 8)} FastB2B{Sign(command, 9)} DisINTx{Sign(command, 10)}");
        string[] speeds = ["fast", "medium", "slow", "??"];
        Line(1, $"Status: Cap{Sign(status, 4)} 66MHz{Sign(status, 5)} UDF{Sign(status, 6)} FastB2B{Sign(status, 7)} "
            + $"ParErr{Sign(status, 8)} DEVSEL={speeds[status >> 9 & 3]} >TAbort{Sign(status, 11)} <TAbort{Sign(status, 12)} "
            + $"<MAbort{Sign(status, 13)} >SERR{Sign(status, 14)} <PERR{Sign(status, 15)} INTx{Sign(status, 3)}");
        if (type != 0)
        {
            Line(1, $"!!! Header type {type:x2} is not decoded");
            return;
        }

        if ((command & CommandMaster) != 0)
        {
            WriteLatency();
        }

        byte pin = _config.Byte(0x3D);
        byte line = _config.Byte(0x3C);
        if (pin != 0 || line != 0)
        {
            Line(1, $"Interrupt: pin {(pin is 0 or > 26 ? '?' : (char)('A' + pin - 1))} routed to IRQ {line}");
        }

        byte test = _config.Byte(0x0F);
        if ((test & 0x80) != 0)
        {
            Line(1, (test & 0x40) != 0 ? "BIST is running" : $"BIST result: {test & 0x0F:x2}");
        }

        for (int bar = 0; bar < 6; bar++)
        {
            bar += WriteBar(bar, command);
        }

        WriteRom(command);
    }

    private void WriteLatency()
    {
        // Both in units of a quarter of a microsecond.
        int minimum = _config.Byte(0x3E) * 250;
        int maximum = _config.Byte(0x3F) * 250;
        List<string> limits = [];
        if (minimum != 0)
        {
            limits.Add($"{minimum}ns min");
        }

        if (maximum != 0)
        {
            limits.Add($"{maximum}ns max");
        }

        int cacheLine = _config.Byte(0x0C) * 4;
        Line(1, $"Latency: {_config.Byte(0x0D)}{(limits.Count == 0 ? string.Empty : $" ({string.Join(", ", limits)})")}"
            + (cacheLine == 0 ? string.Empty : $", Cache Line Size: {cacheLine} bytes"));
    }

    /// <summary>Writes one BAR and returns how many more BARs it took.</summary>
    private int WriteBar(int bar, ushort command)
    {
        int offset = FirstBar + (bar * 4);
        uint low = _config.Long(offset);
        ulong size = _config.SizeOf((PciRegion)bar);
        if (low == uint.MaxValue)
        {
            low = 0;
        }

        bool isIo = (low & 1) != 0;
        bool is64Bit = !isIo && (low & 6) == 4;
        int taken = is64Bit && bar < 5 ? 1 : 0;
        if (low == 0 && size == 0)
        {
            return 0;
        }

        StringBuilder line = new($"Region {bar}: ");
        if (isIo)
        {
            uint port = low & ~3u;
            line.Append("I/O ports at ").Append(port != 0 || (command & CommandIo) != 0 ? $"{port:x4}" : "<unassigned>");
            if ((command & CommandIo) == 0)
            {
                line.Append(" [disabled]");
            }
        }
        else
        {
            // A 64-bit BAR in the last place has no upper half, and so no address.
            ulong address = low & ~0xFu;
            if (is64Bit)
            {
                address = bar < 5 ? address | ((ulong)_config.Long(offset + 4) << 32) : 0;
            }

            string[] types = ["32-bit", "low-1M", "64-bit", "type 3"];
            line.Append("Memory at ").Append(address != 0 ? $"{address:x8}" : "<unassigned>")
                .Append($" ({types[low >> 1 & 3]}, {((low & 8) != 0 ? string.Empty : "non-")}prefetchable)");
            if ((command & CommandMemory) == 0)
            {
                line.Append(" [disabled]");
            }
        }

        Line(1, line.Append(Size(size)).ToString());
        return taken;
    }

    private void WriteRom(ushort command)
    {
        uint rom = _config.Long(RomBar);
        ulong size = _config.SizeOf(PciRegion.Rom);
        if ((rom == 0 || rom == uint.MaxValue) && size == 0)
        {
            return;
        }

        uint address = rom & ~0x7FFu;
        string state = (rom & 1) == 0 ? " [disabled]" : (command & CommandMemory) == 0 ? " [disabled by cmd]" : string.Empty;
        Line(1, $"Expansion ROM at {(address != 0 ? $"{address:x8}" : "<unassigned>")}{state}{Size(size)}");
    }

    private static string Size(ulong size)
    {
        if (size == 0)
        {
            return string.Empty;
        }

        const string Units = "KMGTPE";
        int unit = -1;
        while (size % 1024 == 0 && unit < Units.Length - 1)
        {
            size /= 1024;
            unit++;
        }

        return unit < 0 ? $" [size={size}]" : $" [size={size}{Units[unit]}]";
    }
}
