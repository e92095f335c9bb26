namespace Vfio.Tool.Lspci;

/// <content>The PCI Express capability of endpoints (PCI Express 5.0 §7.5.3).</content>
internal sealed partial class LspciText
{
    private const int Endpoint = 0;
    private const int LegacyEndpoint = 1;
    private const int IntegratedEndpoint = 9;

    private static string LinkSpeed(uint code, string unknown) => code switch
    {
        1 => "2.5GT/s",
        2 => "5GT/s",
        3 => "8GT/s",
        4 => "16GT/s",
        5 => "32GT/s",
        6 => "64GT/s",
        _ => unknown,
    };

    private static string StandbyLatency(uint code) => code switch
    {
        <= 3 => $"<{64 << (int)code}ns",
        <= 6 => $"<{1 << (int)(code - 4)}us",
        _ => "unlimited",
    };

    private static string SleepLatency(uint code) => code <= 6 ? $"<{1 << (int)code}us" : "unlimited";

    private static string PowerManagementSupport(uint code, string none) => code switch { 0 => none, 1 => "L0s", 2 => "L1", _ => "L0s L1" };

    private static string SlotPower(uint value, uint scale)
    {
        if (scale == 0 && value >= 0xF0)
        {
            // From 0xF0 on the values stand for steps of 25 W from 250 W.
            return value == 0xFF ? ">600W" : $"{250 + ((value - 0xF0) * 25)}W";
        }

        decimal divisor = scale switch { 0 => 1m, 1 => 10m, 2 => 100m, _ => 1000m };
        return $"{value / divisor:0.###}W";
    }

    private static string TimeoutRanges(uint code) => code switch
    {
        0x0 => "Not Supported",
        0x1 => "Range A",
        0x2 => "Range B",
        0x3 => "Range AB",
        0x6 => "Range BC",
        0x7 => "Range ABC",
        0xE => "Range BCD",
        0xF => "Range ABCD",
        _ => "Unknown",
    };

    private static string TimeoutValue(uint code) => code switch
    {
        0x0 => "50us to 50ms",
        0x1 => "50us to 100us",
        0x2 => "1ms to 10ms",
        0x5 => "16ms to 55ms",
        0x6 => "65ms to 210ms",
        0x9 => "260ms to 900ms",
        0xA => "1s to 3.5s",
        0xD => "4s to 13s",
        0xE => "17s to 64s",
        _ => "Unknown",
    };

    private static string SupportedSpeeds(uint vector)
    {
        // lspci of this generation has no name for 64 GT/s in this place.
        int highest = 31 - System.Numerics.BitOperations.LeadingZeroCount(vector);
        return highest switch
        {
            0 => "2.5GT/s",
            1 => "2.5-5GT/s",
            2 => "2.5-8GT/s",
            3 => "2.5-16GT/s",
            4 => "2.5-32GT/s",
            _ => "RsvdP",
        };
    }

    private static string TransmitMargin(uint code) => code switch
    {
        0 => "Normal Operating Range",
        1 => "800-1200mV(full-swing)/400-700mV(half-swing)",
        >= 2 and <= 5 => "200-400mV(full-swing)/100-200mV(half-swing)",
        _ => "Unknown",
    };

    private static string CompliancePreset(uint code) => code switch
    {
        0 => "-6dB de-emphasis, 0dB preshoot",
        1 => "-3.5dB de-emphasis, 0dB preshoot",
        2 => "-4.4dB de-emphasis, 0dB preshoot",
        3 => "-2.5dB de-emphasis, 0dB preshoot",
        4 => "0dB de-emphasis, 0dB preshoot",
        5 => "0dB de-emphasis, 1.9dB preshoot",
        6 => "0dB de-emphasis, 2.5dB preshoot",
        7 => "-6.0dB de-emphasis, 3.5dB preshoot",
        8 => "-3.5dB de-emphasis, 3.5dB preshoot",
        9 => "0dB de-emphasis, 3.5dB preshoot",
        _ => "Unknown",
    };

    private void WriteExpress(string start, int at, ushort flags)
    {
        int version = flags & 15;
        int type = flags >> 4 & 15;
        string? name = type switch
        {
            Endpoint => "Endpoint",
            LegacyEndpoint => "Legacy Endpoint",
            IntegratedEndpoint => "Root Complex Integrated Endpoint",
            _ => null,
        };
        if (name is null)
        {
            // Ports and bridges have headers of type 1, collectors are the root's own.
            Line(1, $"{start}Express (v{version}) type {type} <?>");
            return;
        }

        Line(1, $"{start}Express (v{version}) {name}, MSI {flags >> 9 & 31:x2}");
        WriteExpressDevice(at, type);
        bool hasLink = type != IntegratedEndpoint;
        if (hasLink)
        {
            WriteExpressLink(at);
        }

        if (version < 2)
        {
            return;
        }

        WriteExpressDevice2(at, type);
        if (hasLink)
        {
            WriteExpressLink2(at);
        }
    }

    private void WriteExpressDevice(int at, int type)
    {
        uint capabilities = _config.Long(at + 0x04);
        ushort control = _config.Word(at + 0x08);
        ushort status = _config.Word(at + 0x0A);
        bool isIntegrated = type == IntegratedEndpoint;
        Line(2, $"DevCap:\tMaxPayload {128 << (int)(capabilities & 7)} bytes, PhantFunc {(1 << (int)(capabilities >> 3 & 3)) - 1}"
            + (isIntegrated ? string.Empty : $", Latency L0s {StandbyLatency(capabilities >> 6 & 7)}, L1 {SleepLatency(capabilities >> 9 & 7)}"));
        Line(3, $"ExtTag{Sign(capabilities, 5)}"
            + (isIntegrated ? string.Empty : $" AttnBtn{Sign(capabilities, 12)} AttnInd{Sign(capabilities, 13)} PwrInd{Sign(capabilities, 14)}")
            + $" RBE{Sign(capabilities, 15)} FLReset{Sign(capabilities, 28)}"
            + (type == Endpoint ? $" SlotPowerLimit {SlotPower(capabilities >> 18 & 0xFF, capabilities >> 26 & 3)}" : string.Empty));
        Line(2, $"DevCtl:\tCorrErr{Sign(control, 0)} NonFatalErr{Sign(control, 1)} FatalErr{Sign(control, 2)} UnsupReq{Sign(control, 3)}");
        Line(3, $"RlxdOrd{Sign(control, 4)} ExtTag{Sign(control, 8)} PhantFunc{Sign(control, 9)} AuxPwr{Sign(control, 10)} NoSnoop{Sign(control, 11)}"
            + ((capabilities >> 28 & 1) != 0 ? $" FLReset{Sign(control, 15)}" : string.Empty));
        Line(3, $"MaxPayload {128 << (control >> 5 & 7)} bytes, MaxReadReq {128 << (control >> 12 & 7)} bytes");
        Line(2, $"DevSta:\tCorrErr{Sign(status, 0)} NonFatalErr{Sign(status, 1)} FatalErr{Sign(status, 2)} UnsupReq{Sign(status, 3)} "
            + $"AuxPwr{Sign(status, 4)} TransPend{Sign(status, 5)}");
    }

    private void WriteExpressLink(int at)
    {
        uint capabilities = _config.Long(at + 0x0C);
        ushort control = _config.Word(at + 0x10);
        ushort status = _config.Word(at + 0x12);
        uint capableSpeed = capabilities & 15;
        uint capableWidth = capabilities >> 4 & 0x3F;
        uint support = capabilities >> 10 & 3;
        List<string> exits = [];
        if ((support & 1) != 0)
        {
            exits.Add($"L0s {StandbyLatency(capabilities >> 12 & 7)}");
        }

        if ((support & 2) != 0)
        {
            exits.Add($"L1 {SleepLatency(capabilities >> 15 & 7)}");
        }

        Line(2, $"LnkCap:\tPort #{capabilities >> 24}, Speed {LinkSpeed(capableSpeed, "unknown")}, Width x{capableWidth}, "
            + $"ASPM {PowerManagementSupport(support, "not supported")}{(exits.Count == 0 ? string.Empty : $", Exit Latency {string.Join(", ", exits)}")}");
        Line(3, $"ClockPM{Sign(capabilities, 18)} Surprise{Sign(capabilities, 19)} LLActRep{Sign(capabilities, 20)} BwNot{Sign(capabilities, 21)} ASPMOptComp{Sign(capabilities, 22)}");
        string enabled = (control & 3) == 0 ? "Disabled" : $"{PowerManagementSupport(control & 3u, string.Empty)} Enabled";
        Line(2, $"LnkCtl:\tASPM {enabled}; RCB {((control & 8) != 0 ? 128 : 64)} bytes, Disabled{Sign(control, 4)} CommClk{Sign(control, 6)}");
        Line(3, $"ExtSynch{Sign(control, 7)} ClockPM{Sign(control, 8)} AutWidDis{Sign(control, 9)} BWInt{Sign(control, 10)} AutBWInt{Sign(control, 11)}");
        uint speed = status & 15u;
        uint width = (uint)(status >> 4) & 0x3F;
        Line(2, $"LnkSta:\tSpeed {LinkSpeed(speed, "unknown")}{Compare(speed, capableSpeed)}, Width x{width}{Compare(width, capableWidth)}");
        Line(3, $"TrErr{Sign(status, 10)} Train{Sign(status, 11)} SlotClk{Sign(status, 12)} DLActive{Sign(status, 13)} BWMgmt{Sign(status, 14)} ABWMgmt{Sign(status, 15)}");

        static string Compare(uint actual, uint capable) => actual < capable ? " (downgraded)" : actual > capable ? " (overdriven)" : string.Empty;
    }

    private void WriteExpressDevice2(int at, int type)
    {
        uint capabilities = _config.Long(at + 0x24);
        ushort control = _config.Word(at + 0x28);
        string[] flushes = ["Not Supported", "Via message", "Via WAKE#", "Via message/WAKE#"];
        string[] flushControls = ["Disabled", "Via message A", "Via message B", "Via WAKE#"];
        string[] reductions = ["Not Supported", "Dev Specific", "Form Factor Dev Specific", "Reserved"];
        uint prefixes = capabilities >> 22 & 3;
        Line(2, $"DevCap2: Completion Timeout: {TimeoutRanges(capabilities & 15)}, TimeoutDis{Sign(capabilities, 4)} NROPrPrP{Sign(capabilities, 10)} LTR{Sign(capabilities, 11)}");
        Line(3, $" 10BitTagComp{Sign(capabilities, 16)} 10BitTagReq{Sign(capabilities, 17)} OBFF {flushes[capabilities >> 18 & 3]}, ExtFmt{Sign(capabilities, 20)} "
            + $"EETLPPrefix{Sign(capabilities, 21)}{((capabilities >> 21 & 1) != 0 ? $", MaxEETLPPrefixes {(prefixes == 0 ? 4 : prefixes)}" : string.Empty)}");
        Line(3, $" EmergencyPowerReduction {reductions[capabilities >> 24 & 3]}, EmergencyPowerReductionInit{Sign(capabilities, 26)}");
        string hints = (capabilities >> 12 & 3) switch
        {
            0 => " TPHComp- ExtTPHComp-",
            1 => " TPHComp+ ExtTPHComp-",
            3 => " TPHComp+ ExtTPHComp+",
            _ => " ",
        };
        Line(3, $" FRS{Sign(capabilities, 31)}{(type == Endpoint ? hints : string.Empty)}");
        // Atomic operations address memory, so a function without a memory BAR cannot complete any.
        bool hasMemory = HasMemoryBar();
        if (hasMemory)
        {
            Line(3, $" AtomicOpsCap: 32bit{Sign(capabilities, 7)} 64bit{Sign(capabilities, 8)} 128bitCAS{Sign(capabilities, 9)}");
        }

        Line(2, $"DevCtl2: Completion Timeout: {TimeoutValue(control & 15u)}, TimeoutDis{Sign(control, 4)} LTR{Sign(control, 10)} "
            + $"10BitTagReq{Sign(control, 12)} OBFF {flushControls[control >> 13 & 3]},");
        Line(3, $" AtomicOpsCtl: ReqEn{Sign(control, 6)}");
    }

    private bool HasMemoryBar()
    {
        for (int bar = 0; bar < 6; bar++)
        {
            uint low = _config.Long(FirstBar + (bar * 4));
            if ((low is not (0 or uint.MaxValue) || _config.SizeOf((PciRegion)bar) != 0) && (low & 1) == 0)
            {
                return true;
            }

            bar += (low & 7) == 4 ? 1 : 0;
        }

        return false;
    }

    private void WriteExpressLink2(int at)
    {
        uint capabilities = _config.Long(at + 0x2C);
        ushort control = _config.Word(at + 0x30);
        ushort status = _config.Word(at + 0x32);
        string[] crosslinks = ["unsupported", "Upstream Port", "Downstream Port", "incomplete"];
        // Devices of the first version of the specification have zeroes here.
        if (capabilities != 0)
        {
            Line(2, $"LnkCap2: Supported Link Speeds: {SupportedSpeeds(capabilities >> 1 & 0x7F)}, Crosslink{Sign(capabilities, 8)} "
                + $"Retimer{Sign(capabilities, 23)} 2Retimers{Sign(capabilities, 24)} DRS{Sign(capabilities, 31)}");
        }

        // Devices of one speed may have zero here.
        Line(2, $"LnkCtl2: Target Link Speed: {LinkSpeed(Math.Max(1, control & 15u), "Unknown")}, EnterCompliance{Sign(control, 4)} SpeedDis{Sign(control, 5)}");
        Line(3, $" Transmit Margin: {TransmitMargin((uint)(control >> 7) & 7)}, EnterModifiedCompliance{Sign(control, 10)} ComplianceSOS{Sign(control, 11)}");
        Line(3, $" Compliance Preset/De-emphasis: {CompliancePreset((uint)(control >> 12) & 15)}");
        Line(2, $"LnkSta2: Current De-emphasis Level: {((status & 1) != 0 ? "-3.5dB" : "-6dB")}, EqualizationComplete{Sign(status, 1)} EqualizationPhase1{Sign(status, 2)}");
        Line(3, $" EqualizationPhase2{Sign(status, 3)} EqualizationPhase3{Sign(status, 4)} LinkEqualizationRequest{Sign(status, 5)}");
        Line(3, $" Retimer{Sign(status, 6)} 2Retimers{Sign(status, 7)} CrosslinkRes: {crosslinks[status >> 8 & 3]}");
    }
}
