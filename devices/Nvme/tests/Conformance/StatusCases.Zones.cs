using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Devices.Nvme.Tests.Zones;

namespace Vfio.Devices.Nvme.Tests.Conformance;

/// <content>Zoned namespaces (Zoned Namespace Command Set 1.1).</content>
internal static partial class StatusCases
{
    private const int ZoneBoundaryError = 0x1B8;
    private const int ZoneInvalidWrite = 0x1BC;
    private const int ZoneInvalidTransition = 0x1BF;

    /// <summary>Namespace 1 has 8 zones of 256 blocks of which 192 can be written, 2 has none, 3 is read only.</summary>
    public static NvmeOptions ZonedOptions => ZonedRig.Options() with
    {
        Namespaces =
        [
            .. ZonedRig.Options().Namespaces,
            new() { Size = 64 * 512 },
            new() { Size = 1 << 18, Backend = static size => new TestBackend(size) { IsReadOnly = true }, Zones = new() { Size = 1 << 17, Backend = static size => new MemoryBackend(size) } },
        ],
    };

    private static IEnumerable<StatusCase> Zones()
    {
        static StatusCase ZonedAdmin(string name, int status, byte opcode, uint nsid = 0, uint d10 = 0, uint d11 = 0, uint d14 = 0)
            => Admin(name, status, opcode, nsid, d10, d11, d14: d14) with { Options = static () => ZonedOptions };

        static StatusCase Zoned(string name, int status, Func<NvmeRig, RawCommand> build) => Io(name, status, build) with { Options = static () => ZonedOptions };

        static StatusCase Send(string name, int status, uint fields, uint block = 0, uint nsid = 1)
            => Zoned($"zone-send/{name}", status, _ => new RawCommand(0x79, nsid).Set(10, block).Set(13, fields));

        static StatusCase Receive(string name, int status, uint fields = 0, uint block = 0, uint dwords = 1024, uint nsid = 1)
            => Zoned($"zone-receive/{name}", status, rig =>
            {
                RawCommand command = new RawCommand(0x7A, nsid).Set(10, block).Set(12, dwords - 1).Set(13, fields);
                rig.SetPrps(command, 0, (int)Math.Min(dwords * 4, 1 << 20));
                return command;
            });

        static StatusCase Append(string name, int status, uint block = 0, int blocks = 8, uint nsid = 1)
            => Zoned($"zone-append/{name}", status, rig => rig.Transfer(0x7D, block, blocks, nsid: nsid));

        yield return ZonedAdmin("identify/zoned-namespace", Success, 0x06, nsid: 1, d10: 5, d11: 2U << 24);
        yield return ZonedAdmin("identify/zoned-namespace-that-has-no-zones", InvalidField, 0x06, nsid: 2, d10: 5, d11: 2U << 24);
        yield return ZonedAdmin("identify/zoned-namespace-inactive", Success, 0x06, nsid: 9, d10: 5, d11: 2U << 24);
        yield return ZonedAdmin("identify/zoned-namespace-above", InvalidNamespace, 0x06, nsid: 257, d10: 5, d11: 2U << 24);
        yield return ZonedAdmin("identify/zoned-namespace-key-value", InvalidField, 0x06, nsid: 1, d10: 5, d11: 1U << 24);
        yield return ZonedAdmin("identify/nvm-part-of-zoned-namespace", Success, 0x06, nsid: 1, d10: 5);
        yield return ZonedAdmin("identify/zoned-controller", Success, 0x06, d10: 6, d11: 2U << 24);
        yield return ZonedAdmin("identify/zoned-list", Success, 0x06, d10: 7, d11: 2U << 24);
        yield return ZonedAdmin("identify/combinations", Success, 0x06, d10: 0x1C | (0xFFFFU << 16));
        yield return ZonedAdmin("identify/combinations-of-this-controller", Success, 0x06, d10: 0x1C | (1U << 16));
        yield return ZonedAdmin("identify/combinations-of-another-controller", InvalidField, 0x06, d10: 0x1C | (2U << 16));
        yield return Admin("identify/combinations-without-zones", InvalidField, 0x06, d10: 0x1C);
        yield return ZonedAdmin("logs/effects-zoned", Success, 0x02, d10: 5 | (1023U << 16), d14: 2U << 24);
        yield return ZonedAdmin("logs/effects-key-value", InvalidField, 0x02, d10: 5 | (1023U << 16), d14: 1U << 24);
        yield return Admin("logs/effects-zoned-without-zones", InvalidField, 0x02, d10: 5 | (1023U << 16), d14: 2U << 24);
        yield return ZonedAdmin("get-features/command-set-profile", Success, 0x0A, d10: 0x19);
        yield return Admin("get-features/command-set-profile-without-zones", InvalidField, 0x0A, d10: 0x19);
        yield return ZonedAdmin("set-features/command-set-profile", Success, 0x09, d10: 0x19, d11: 0);
        yield return ZonedAdmin("set-features/command-set-profile-1", 0x12B, 0x09, d10: 0x19, d11: 1);
        yield return ZonedAdmin("format/zones", Success, 0x80, nsid: 1, d10: 1);
        yield return ZonedAdmin("format/zones-with-metadata", FormatInvalid, 0x80, nsid: 1, d10: 2);

        for (uint action = 0; action < 7; action++)
        {
            int status = action switch
            {
                0 or 6 => InvalidField,
                1 or 5 => ZoneInvalidTransition,
                _ => Success,
            };
            yield return Send($"action-{action}", status, action);
            yield return Send($"action-{action}-all", status == InvalidField ? InvalidField : Success, action | (1 << 8), block: 5);
        }

        yield return Send("set-extension", InvalidField, 0x10);
        yield return Send("flush-random-write-area", InvalidField, 0x11);
        yield return Send("inside-a-zone", InvalidField, 4, block: 255);
        yield return Send("last-zone", Success, 4, block: 7 * 256);
        yield return Send("behind-the-last", LbaOutOfRange, 4, block: 8 * 256);
        yield return Send("without-zones", InvalidOpcode, 4, nsid: 2);
        yield return Send("read-only", WriteProtected, 4, nsid: 3);
        yield return Send("namespace-0", InvalidNamespace, 4, nsid: 0);
        yield return Send("namespace-inactive", InvalidField, 4, nsid: 9);

        yield return Receive("report", Success);
        yield return Receive("report-inside-a-zone", Success, block: 257);
        yield return Receive("report-partial", Success, fields: 1 << 16);
        for (uint filter = 0; filter < 10; filter++)
        {
            yield return Receive($"filter-{filter}", filter < 8 ? Success : InvalidField, fields: filter << 8);
        }

        yield return Receive("extended", InvalidField, fields: 1);
        yield return Receive("action-2", InvalidField, fields: 2);
        yield return Receive("head-only", Success, dwords: 16);
        yield return Receive("less-than-a-head", InvalidField, dwords: 15);
        yield return Receive("longest", Success, dwords: 1 << 18);
        yield return Receive("too-long", InvalidField, dwords: (1 << 18) + 1);
        yield return Receive("behind-the-last", LbaOutOfRange, block: 8 * 256);
        yield return Receive("without-zones", InvalidOpcode, nsid: 2);
        yield return Receive("read-only", Success, nsid: 3);
        yield return Receive("namespace-0", InvalidNamespace, nsid: 0);
        yield return Zoned("zone-receive/unmapped", DataTransferError, _ => new RawCommand(0x7A, 1) { Prp1 = Nowhere }.Set(12, 1023));

        yield return Append("start", Success);
        yield return Append("whole-capacity", Success, blocks: 192);
        yield return Append("beyond-capacity", ZoneBoundaryError, blocks: 193);
        yield return Append("inside-a-zone", InvalidField, block: 8);
        yield return Append("behind-the-last", LbaOutOfRange, block: 8 * 256);
        yield return Append("without-zones", InvalidOpcode, nsid: 2);
        yield return Append("read-only", WriteProtected, nsid: 3);
        yield return Append("namespace-inactive", InvalidField, nsid: 9);
        yield return Zoned("zone-append/longer-than-mdts", InvalidField, rig => rig.Transfer(0x7D, 0, 8).Set(12, 2048));

        foreach ((string name, byte opcode) in ((string, byte)[])[("write", 0x01), ("write-zeroes", 0x08), ("write-uncorrectable", 0x04)])
        {
            yield return Zoned($"{name}/zone-start", Success, rig => rig.Transfer(opcode, 0, 8));
            yield return Zoned($"{name}/zone-not-at-the-pointer", ZoneInvalidWrite, rig => rig.Transfer(opcode, 8, 8));
            yield return Zoned($"{name}/zone-beyond-capacity", ZoneBoundaryError, rig => rig.Transfer(opcode, 0, 200));
        }

        foreach ((string name, byte opcode) in ((string, byte)[])[("read", 0x02), ("verify", 0x0C)])
        {
            yield return Zoned($"{name}/zone-not-written", Success, rig => rig.Transfer(opcode, 100, 8));
            yield return Zoned($"{name}/zone-beyond-capacity", ZoneBoundaryError, rig => rig.Transfer(opcode, 190, 4));
            yield return Zoned($"{name}/zone-gap", ZoneBoundaryError, rig => rig.Transfer(opcode, 200, 1));
        }

        yield return Zoned("compare/zone-beyond-capacity", ZoneBoundaryError, rig => rig.Transfer(0x05, 190, 4));
    }
}
