namespace Vfio.Tool.Lspci;

/// <content>The list of extended capabilities (PCI Express 5.0 §7.6).</content>
internal sealed partial class LspciText
{
    private const int ConventionalLength = 0x100;

    private void WriteExtended(bool hasExpress)
    {
        if (!hasExpress || !_config.IsExtended)
        {
            return;
        }

        HashSet<int> seen = [];
        for (int at = ConventionalLength; at >= ConventionalLength;)
        {
            uint header = _config.Long(at);
            if (header is 0 or uint.MaxValue)
            {
                return;
            }

            ushort id = (ushort)header;
            string start = $"Capabilities: [{at:x3} v{header >> 16 & 15}] ";
            if (!seen.Add(at))
            {
                Line(1, start + "<chain looped>");
                return;
            }

            switch (id)
            {
                case 0x0000:
                    Line(1, start + "Null");
                    break;
                case 0x0001:
                    WriteErrorReporting(start, at);
                    break;
                case 0x0003:
                    WriteSerialNumber(start, at);
                    break;
                case 0x000B:
                    uint vendor = _config.Long(at + 4);
                    Line(1, $"{start}Vendor Specific Information: ID={vendor & 0xFFFF:x4} Rev={vendor >> 16 & 15:x} Len={vendor >> 20:x3} <?>");
                    break;
                default:
                    Line(1, start + (ExtendedName(id) is { } name ? $"{name} <?>" : $"Extended Capability ID 0x{id:x}"));
                    break;
            }

            at = (int)(header >> 20) & ~3;
        }
    }

    private static string? ExtendedName(ushort id) => id switch
    {
        0x02 or 0x09 => "Virtual Channel",
        0x04 => "Power Budgeting",
        0x05 => "Root Complex Link",
        0x06 => "Root Complex Internal Link",
        0x07 => "Root Complex Event Collector Endpoint Association",
        0x08 => "Multi-Function Virtual Channel",
        0x0A => "Root Complex Register Block",
        0x0D => "Access Control Services",
        0x0E => "Alternative Routing-ID Interpretation (ARI)",
        0x0F => "Address Translation Service (ATS)",
        0x10 => "Single Root I/O Virtualization (SR-IOV)",
        0x11 => "Multi-Root I/O Virtualization",
        0x12 => "Multicast",
        0x13 => "Page Request Interface (PRI)",
        0x15 => "Physical Resizable BAR",
        0x16 => "Dynamic Power Allocation",
        0x17 => "Transaction Processing Hints",
        0x18 => "Latency Tolerance Reporting",
        0x19 => "Secondary PCI Express",
        0x1A => "Protocol Multiplexing",
        0x1B => "Process Address Space ID (PASID)",
        0x1C => "LN Requester",
        0x1D => "Downstream Port Containment",
        0x1E => "L1 PM Substates",
        0x1F => "Precision Time Measurement",
        0x20 => "PCI Express over M_PHY",
        0x21 => "FRS Queueing",
        0x22 => "Readiness Time Reporting",
        0x23 => "Designated Vendor-Specific",
        0x24 => "Virtual Resizable BAR",
        0x25 => "Data Link Feature",
        0x26 => "Physical Layer 16.0 GT/s",
        0x27 => "Lane Margining at the Receiver",
        0x28 => "Hierarchy ID",
        0x29 => "Native PCIe Enclosure Management",
        0x2E => "Data Object Exchange",
        _ => null,
    };

    private static string Uncorrectable(uint value)
        => $"DLP{Sign(value, 4)} SDES{Sign(value, 5)} TLP{Sign(value, 12)} FCP{Sign(value, 13)} CmpltTO{Sign(value, 14)} CmpltAbrt{Sign(value, 15)} "
            + $"UnxCmplt{Sign(value, 16)} RxOF{Sign(value, 17)} MalfTLP{Sign(value, 18)} ECRC{Sign(value, 19)} UnsupReq{Sign(value, 20)} ACSViol{Sign(value, 21)}";

    private static string Correctable(uint value)
        => $"RxErr{Sign(value, 0)} BadTLP{Sign(value, 6)} BadDLLP{Sign(value, 7)} Rollover{Sign(value, 8)} Timeout{Sign(value, 12)} AdvNonFatalErr{Sign(value, 13)}";

    private void WriteErrorReporting(string start, int at)
    {
        uint control = _config.Long(at + 0x18);
        Line(1, $"{start}Advanced Error Reporting");
        Line(2, $"UESta:\t{Uncorrectable(_config.Long(at + 0x04))}");
        Line(2, $"UEMsk:\t{Uncorrectable(_config.Long(at + 0x08))}");
        Line(2, $"UESvrt:\t{Uncorrectable(_config.Long(at + 0x0C))}");
        Line(2, $"CESta:\t{Correctable(_config.Long(at + 0x10))}");
        Line(2, $"CEMsk:\t{Correctable(_config.Long(at + 0x14))}");
        Line(2, $"AERCap:\tFirst Error Pointer: {control & 31:x2}, ECRCGenCap{Sign(control, 5)} ECRCGenEn{Sign(control, 6)} ECRCChkCap{Sign(control, 7)} ECRCChkEn{Sign(control, 8)}");
        Line(3, $"MultHdrRecCap{Sign(control, 9)} MultHdrRecEn{Sign(control, 10)} TLPPfxPres{Sign(control, 11)} HdrLogCap{Sign(control, 12)}");
        Line(2, $"HeaderLog: {_config.Long(at + 0x1C):x8} {_config.Long(at + 0x20):x8} {_config.Long(at + 0x24):x8} {_config.Long(at + 0x28):x8}");
    }

    private void WriteSerialNumber(string start, int at)
    {
        IEnumerable<string> bytes = Enumerable.Range(0, 8).Select(i => $"{_config.Byte(at + 11 - i):x2}");
        Line(1, $"{start}Device Serial Number {string.Join('-', bytes)}");
    }
}
