namespace Vfio.Tool.Lspci;

/// <content>The list of capabilities (PCI 3.0 §6.7).</content>
internal sealed partial class LspciText
{
    private const ushort StatusCapabilities = 0x0010;
    private const byte ExpressId = 0x10;

    private void WriteCapabilities()
    {
        if ((_config.Word(Status) & StatusCapabilities) == 0)
        {
            return;
        }

        bool hasExpress = false;
        HashSet<int> seen = [];
        for (int at = _config.Byte(0x34) & ~3; at != 0; at = _config.Byte(at + 1) & ~3)
        {
            string start = $"Capabilities: [{at:x2}] ";
            byte id = _config.Byte(at);
            if (!seen.Add(at))
            {
                Line(1, start + "<chain looped>");
                break;
            }

            if (id == 0xFF)
            {
                Line(1, start + "<chain broken>");
                break;
            }

            ushort field = _config.Word(at + 2);
            switch (id)
            {
                case 0x00:
                    // The list is over: what is no capability has no successor.
                    Line(1, start + "Null");
                    WriteExtended(hasExpress);
                    return;
                case 0x01:
                    WritePowerManagement(start, at, field);
                    break;
                case 0x05:
                    WriteMsi(start, at, field);
                    break;
                case 0x09:
                    Line(1, $"{start}Vendor Specific Information: Len={field & 0xFF:x2} <?>");
                    break;
                case 0x0D:
                    Line(1, $"{start}Subsystem: {Board(_config.Word(at + 4), _config.Word(at + 6))}");
                    break;
                case ExpressId:
                    hasExpress = true;
                    WriteExpress(start, at, field);
                    break;
                case 0x11:
                    WriteMsix(start, at, field);
                    break;
                default:
                    Line(1, start + (CapabilityName(id) is { } name ? $"{name} <?>" : $"Capability ID 0x{id:x2} [{field:x4}]"));
                    break;
            }
        }

        WriteExtended(hasExpress);
    }

    private static string? CapabilityName(byte id) => id switch
    {
        0x02 => "AGP",
        0x03 => "Vital Product Data",
        0x04 => "Slot ID",
        0x06 => "CompactPCI hot-swap",
        0x07 => "PCI-X non-bridge device",
        0x08 => "HyperTransport",
        0x0A => "Debug port",
        0x0B => "CompactPCI central resource control",
        0x0C => "Hot-plug capable",
        0x0E => "AGP3",
        0x0F => "Secure device",
        0x12 => "SATA HBA",
        0x13 => "PCI Advanced Features",
        0x14 => "Enhanced Allocation (EA)",
        _ => null,
    };

    private string Board(ushort vendor, ushort board) => _numeric ? $"{vendor:x4}:{board:x4}" : _names.Device(vendor, board);

    private void WritePowerManagement(string start, int at, ushort pmc)
    {
        int[] milliamperes = [0, 55, 100, 160, 220, 270, 320, 375];
        ushort state = _config.Word(at + 4);
        Line(1, $"{start}Power Management version {pmc & 7}");
        Line(2, $"Flags: PMEClk{Sign(pmc, 3)} DSI{Sign(pmc, 5)} D1{Sign(pmc, 9)} D2{Sign(pmc, 10)} AuxCurrent={milliamperes[pmc >> 6 & 7]}mA "
            + $"PME(D0{Sign(pmc, 11)},D1{Sign(pmc, 12)},D2{Sign(pmc, 13)},D3hot{Sign(pmc, 14)},D3cold{Sign(pmc, 15)})");
        Line(2, $"Status: D{state & 3} NoSoftRst{Sign(state, 3)} PME-Enable{Sign(state, 8)} DSel={state >> 9 & 15} DScale={state >> 13 & 3} PME{Sign(state, 15)}");
        byte bridge = _config.Byte(at + 6);
        if (bridge != 0)
        {
            Line(2, $"Bridge: PM{Sign(bridge, 7)} B3{Sign((uint)~bridge, 6)}");
        }
    }

    private void WriteMsi(string start, int at, ushort control)
    {
        bool is64Bit = (control & 0x80) != 0;
        Line(1, $"{start}MSI: Enable{Sign(control, 0)} Count={1 << (control >> 4 & 7)}/{1 << (control >> 1 & 7)} Maskable{Sign(control, 8)} 64bit{Sign(control, 7)}");
        int data = at + (is64Bit ? 12 : 8);
        string high = is64Bit ? $"{_config.Long(at + 8):x8}" : string.Empty;
        Line(2, $"Address: {high}{_config.Long(at + 4):x8}  Data: {_config.Word(data):x4}");
        if ((control & 0x100) != 0)
        {
            Line(2, $"Masking: {_config.Long(data + 4):x8}  Pending: {_config.Long(data + 8):x8}");
        }
    }

    private void WriteMsix(string start, int at, ushort control)
    {
        uint table = _config.Long(at + 4);
        uint pending = _config.Long(at + 8);
        Line(1, $"{start}MSI-X: Enable{Sign(control, 15)} Count={(control & 0x7FF) + 1} Masked{Sign(control, 14)}");
        Line(2, $"Vector table: BAR={table & 7} offset={table & ~7u:x8}");
        Line(2, $"PBA: BAR={pending & 7} offset={pending & ~7u:x8}");
    }
}
