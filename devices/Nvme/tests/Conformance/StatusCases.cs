using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Conformance;

/// <summary>The list of commands and fields with the status that NVMe Base 2.0 and the NVM Command Set 1.0 ask for; one row each.</summary>
internal static partial class StatusCases
{
    private const int Success = 0x000;
    private const int InvalidOpcode = 0x001;
    private const int InvalidField = 0x002;
    private const int DataTransferError = 0x004;
    private const int InvalidNamespace = 0x00B;
    private const int SequenceError = 0x00C;
    private const int InvalidSglSegment = 0x00D;
    private const int SglLengthInvalid = 0x00F;
    private const int SglTypeInvalid = 0x011;
    private const int PrpOffsetInvalid = 0x013;
    private const int WriteProtected = 0x020;
    private const int LbaOutOfRange = 0x080;
    private const int CompletionQueueInvalid = 0x100;
    private const int InvalidQueueId = 0x101;
    private const int InvalidQueueSize = 0x102;
    private const int InvalidVector = 0x108;
    private const int InvalidLogPage = 0x109;
    private const int InvalidQueueDeletion = 0x10C;
    private const int FeatureNotSaveable = 0x10D;
    private const int FeatureNotPerNamespace = 0x10F;
    private const int CompareFailure = 0x285;
    private const uint All = uint.MaxValue;

    /// <summary>Blocks of namespace 1, of 512 bytes; namespace 2 has 64 of 4096 bytes and a cache, namespace 3 is read only.</summary>
    private const uint Blocks = 4096;

    /// <summary>An address that nothing is mapped at.</summary>
    private const ulong Nowhere = 0x00F0_0000_0000;

    public static NvmeOptions Options => new()
    {
        Queues = 4,
        QueueEntries = 256,
        Namespaces =
        [
            new() { Size = Blocks * 512 },
            new() { Size = 64 * 4096, BlockSize = 4096, Backend = static size => new TestBackend(size) { HasVolatileCache = true, MayWait = true } },
            new() { Size = 64 * 512, Backend = static size => new TestBackend(size) { IsReadOnly = true } },
        ],
    };

    public static IReadOnlyList<StatusCase> Rows { get; } =
    [
        .. Opcodes(), .. Flags(), .. Identify(), .. CreateCompletions(), .. CreateSubmissions(), .. Deletions(), .. SetFeatures(), .. GetFeatures(), .. Logs(), .. Aborts(),
        .. Transfers("read", 0x02), .. Transfers("write", 0x01), .. Transfers("compare", 0x05), .. Lengths(), .. Pointers(), .. Sgls(), .. WriteZeroes(), .. Datasets(), .. Flushes(), .. Formats(), .. Protection(), .. Copies(), .. Uncorrectable(), .. Management(), .. FurtherFeatures(), .. Zones(),
    ];

    private static StatusCase Admin(string name, int status, Func<NvmeRig, RawCommand> build) => new(name, IsAdmin: true, status, build);

    private static StatusCase Io(string name, int status, Func<NvmeRig, RawCommand> build) => new(name, IsAdmin: false, status, build);

    /// <summary>An admin command with data and dwords.</summary>
    private static StatusCase Admin(string name, int status, byte opcode, uint nsid = 0, uint d10 = 0, uint d11 = 0, uint d12 = 0, uint d14 = 0)
        => Admin(name, status, rig => new RawCommand(opcode, nsid) { Prp1 = rig.Data.Iova }.Set(10, d10).Set(11, d11).Set(12, d12).Set(14, d14));

    private static IEnumerable<StatusCase> Opcodes()
    {
        foreach (byte opcode in (byte[])[0x03, 0x07, 0x0B, 0x0D, 0x10, 0x11, 0x14, 0x15, 0x18, 0x19, 0x1A, 0x1C, 0x7D, 0x81, 0x82, 0x84, 0x86, 0xC0, 0xFF])
        {
            yield return Admin($"admin/opcode-{opcode:X2}", InvalidOpcode, opcode);
        }

        foreach (byte opcode in (byte[])[0x03, 0x06, 0x07, 0x0A, 0x0D, 0x0E, 0x11, 0x12, 0x15, 0x18, 0x79, 0x7A, 0x7D, 0x80, 0xFF])
        {
            yield return Io($"io/opcode-{opcode:X2}", InvalidOpcode, _ => new RawCommand(opcode, 1));
        }
    }

    private static IEnumerable<StatusCase> Flags()
    {
        foreach (byte flags in (byte[])[0x01, 0x02, 0x03, 0x40, 0x80, 0xC0])
        {
            yield return Admin($"admin/flags-{flags:X2}", InvalidField, rig => new RawCommand(0x06) { Prp1 = rig.Data.Iova, Flags = flags }.Set(10, 1));
        }

        yield return Io("read/fuse-reserved", InvalidField, rig => WithFlags(rig.Transfer(0x02, 0, 1), 0x03));
        yield return Io("read/psdt-reserved", InvalidField, rig => WithFlags(rig.Transfer(0x02, 0, 1), 0xC0));
        yield return Io("write/fuse-second-alone", 0x00A, rig => WithFlags(rig.Transfer(0x01, 0, 1), 0x02));
    }

    private static IEnumerable<StatusCase> Identify()
    {
        yield return Admin("identify/controller", Success, 0x06, d10: 1);
        yield return Admin("identify/namespace", Success, 0x06, nsid: 1, d10: 0);
        yield return Admin("identify/namespace-0", InvalidNamespace, 0x06, nsid: 0, d10: 0);
        yield return Admin("identify/namespace-inactive", Success, 0x06, nsid: 4, d10: 0);
        yield return Admin("identify/namespace-all", InvalidNamespace, 0x06, nsid: All, d10: 0);
        yield return Admin("identify/list", Success, 0x06, nsid: 0, d10: 2);
        yield return Admin("identify/list-after-last", Success, 0x06, nsid: 3, d10: 2);
        yield return Admin("identify/list-fffffffe", InvalidNamespace, 0x06, nsid: 0xFFFF_FFFE, d10: 2);
        yield return Admin("identify/list-all", InvalidNamespace, 0x06, nsid: All, d10: 2);
        yield return Admin("identify/descriptors", Success, 0x06, nsid: 2, d10: 3);
        yield return Admin("identify/descriptors-0", InvalidNamespace, 0x06, nsid: 0, d10: 3);
        yield return Admin("identify/descriptors-inactive", InvalidField, 0x06, nsid: 9, d10: 3);
        yield return Admin("identify/set-namespace", Success, 0x06, nsid: 1, d10: 5);
        yield return Admin("identify/set-namespace-inactive", Success, 0x06, nsid: 5, d10: 5);
        yield return Admin("identify/set-namespace-zoned", InvalidField, 0x06, nsid: 1, d10: 5, d11: 2U << 24);
        yield return Admin("identify/namespace-above", InvalidNamespace, 0x06, nsid: 257, d10: 0);
        yield return Admin("identify/descriptors-above", InvalidNamespace, 0x06, nsid: 257, d10: 3);
        yield return Admin("identify/set-namespace-above", InvalidNamespace, 0x06, nsid: 257, d10: 5);
        yield return Admin("identify/common-namespace-above", InvalidNamespace, 0x06, nsid: 257, d10: 8);
        yield return Admin("identify/set-controller", Success, 0x06, d10: 6);
        yield return Admin("identify/set-controller-zoned", InvalidField, 0x06, d10: 6, d11: 2U << 24);
        yield return Admin("identify/set-list", Success, 0x06, d10: 7);
        yield return Admin("identify/set-list-key-value", InvalidField, 0x06, d10: 7, d11: 1U << 24);
        yield return Admin("identify/common-namespace", Success, 0x06, nsid: 1, d10: 8);
        yield return Admin("identify/common-namespace-inactive", Success, 0x06, nsid: 77, d10: 8);
        foreach (uint structure in (uint[])[0x04, 0x09, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x17, 0x1A, 0x20, 0x80, 0xFF])
        {
            yield return Admin($"identify/structure-{structure:X2}", InvalidField, 0x06, nsid: 1, d10: structure);
        }

        yield return Admin("identify/prp1-unaligned-1", PrpOffsetInvalid, rig => new RawCommand(0x06) { Prp1 = rig.Data.Iova + 1 }.Set(10, 1));
        yield return Admin("identify/prp1-unaligned-2", PrpOffsetInvalid, rig => new RawCommand(0x06) { Prp1 = rig.Data.Iova + 2 }.Set(10, 1));
        yield return Admin("identify/prp2-offset", PrpOffsetInvalid, rig => new RawCommand(0x06) { Prp1 = rig.Data.Iova + 8, Prp2 = rig.Data.Iova + 4104 }.Set(10, 1));
        yield return Admin("identify/prp2-page", Success, rig => new RawCommand(0x06) { Prp1 = rig.Data.Iova + 8, Prp2 = rig.Data.Iova + 8192 }.Set(10, 1));
        yield return Admin("identify/prp1-unmapped", DataTransferError, _ => new RawCommand(0x06) { Prp1 = Nowhere }.Set(10, 1));
    }

    private static IEnumerable<StatusCase> CreateCompletions()
    {
        static StatusCase Case(string name, int status, uint id = 3, uint size = 15, uint flags = 3, uint vector = 1, ulong offset = 0)
            => Admin($"create-cq/{name}", status, rig => new RawCommand(0x05) { Prp1 = rig.Data.Iova + offset }.Set(10, id | (size << 16)).Set(11, flags | (vector << 16)));

        yield return Case("good", Success);
        yield return Case("id-0", InvalidQueueId, id: 0);
        yield return Case("id-in-use", InvalidQueueId, id: 1);
        yield return Case("id-last", Success, id: 4);
        yield return Case("id-above", InvalidQueueId, id: 5);
        yield return Case("id-ffff", InvalidQueueId, id: 0xFFFF);
        yield return Case("size-0", InvalidQueueSize, size: 0);
        yield return Case("size-2", Success, size: 1);
        yield return Case("size-most", Success, size: 255);
        yield return Case("size-above", InvalidQueueSize, size: 256);
        yield return Case("size-ffff", InvalidQueueSize, size: 0xFFFF);
        yield return Case("not-contiguous", InvalidField, flags: 2);
        yield return Case("without-interrupt", Success, flags: 1);
        yield return Case("vector-last", Success, vector: 4);
        yield return Case("vector-above", InvalidVector, vector: 5);
        yield return Case("vector-ffff", InvalidVector, vector: 0xFFFF);
        yield return Case("prp1-dword", PrpOffsetInvalid, offset: 4);
        yield return Case("prp1-half-page", PrpOffsetInvalid, offset: 2048);
    }

    private static IEnumerable<StatusCase> CreateSubmissions()
    {
        static StatusCase Case(string name, int status, uint id = 3, uint size = 15, uint flags = 1, uint completions = 2, ulong offset = 0)
            => Admin($"create-sq/{name}", status, rig => new RawCommand(0x01) { Prp1 = rig.Data.Iova + offset }.Set(10, id | (size << 16)).Set(11, flags | (completions << 16)));

        yield return Case("good", Success);
        yield return Case("id-0", InvalidQueueId, id: 0);
        yield return Case("id-in-use", InvalidQueueId, id: 1);
        yield return Case("id-last", Success, id: 4);
        yield return Case("id-above", InvalidQueueId, id: 5);
        yield return Case("id-ffff", InvalidQueueId, id: 0xFFFF);
        yield return Case("size-0", InvalidQueueSize, size: 0);
        yield return Case("size-2", Success, size: 1);
        yield return Case("size-most", Success, size: 255);
        yield return Case("size-above", InvalidQueueSize, size: 256);
        yield return Case("not-contiguous", InvalidField, flags: 0);
        yield return Case("priority-low", Success, flags: 7);
        yield return Case("cq-0", InvalidQueueId, completions: 0);
        yield return Case("cq-absent", CompletionQueueInvalid, completions: 4);
        yield return Case("cq-above", InvalidQueueId, completions: 5);
        yield return Case("cq-shared", Success, completions: 1);
        yield return Case("prp1-offset", PrpOffsetInvalid, offset: 8);
    }

    private static IEnumerable<StatusCase> Deletions()
    {
        yield return Admin("delete-sq/good", Success, 0x00, d10: 1);
        yield return Admin("delete-sq/id-0", InvalidQueueId, 0x00, d10: 0);
        yield return Admin("delete-sq/absent", InvalidQueueId, 0x00, d10: 2);
        yield return Admin("delete-sq/above", InvalidQueueId, 0x00, d10: 0xFFFF);
        yield return Admin("delete-cq/good", Success, 0x04, d10: 2);
        yield return Admin("delete-cq/in-use", InvalidQueueDeletion, 0x04, d10: 1);
        yield return Admin("delete-cq/id-0", InvalidQueueId, 0x04, d10: 0);
        yield return Admin("delete-cq/absent", InvalidQueueId, 0x04, d10: 4);
        yield return Admin("delete-cq/above", InvalidQueueId, 0x04, d10: 0xFFFF);
    }

    private static IEnumerable<StatusCase> SetFeatures()
    {
        static StatusCase Case(string name, int status, uint feature, uint value = 0, uint nsid = 0) => Admin($"set-features/{name}", status, 0x09, nsid, feature, value);

        foreach (uint feature in (uint[])[0x00, 0x03, 0x0C, 0x0D, 0x0F, 0x10, 0x11, 0x7E, 0x80, 0x82, 0x83, 0xC0, 0xFF])
        {
            yield return Case($"feature-{feature:X2}", InvalidField, feature);
        }

        foreach (uint feature in (uint[])[0x01, 0x02, 0x04, 0x06, 0x08, 0x0A, 0x0B, 0x0E, 0x81])
        {
            yield return Case($"feature-{feature:X2}-good", Success, feature);
            yield return Case($"feature-{feature:X2}-saved", FeatureNotSaveable, feature | (1U << 31));
            yield return Case($"feature-{feature:X2}-of-namespace", FeatureNotPerNamespace, feature, nsid: 1);
        }

        yield return Case("feature-01-of-absent-namespace", InvalidField, 0x01, nsid: 8);
        yield return Case("feature-01-of-invalid-namespace", InvalidNamespace, 0x01, nsid: 257);
        yield return Case("feature-01-of-all", Success, 0x01, nsid: All);
        yield return Case("power-state-1", InvalidField, 0x02, 1);
        yield return Case("temperature-sensor-1", InvalidField, 0x04, 1U << 16);
        yield return Case("temperature-all-sensors", Success, 0x04, 15U << 16);
        yield return Case("temperature-under", Success, 0x04, 1U << 20);
        yield return Case("temperature-kind-2", InvalidField, 0x04, 2U << 20);
        yield return Case("recovery-namespace", Success, 0x05, 10, nsid: 1);
        yield return Case("recovery-all", Success, 0x05, 10, nsid: All);
        yield return Case("recovery-namespace-0", InvalidNamespace, 0x05, nsid: 0);
        yield return Case("recovery-namespace-absent", InvalidField, 0x05, nsid: 4);
        yield return Case("recovery-dulbe", InvalidField, 0x05, 1U << 16, nsid: 1);
        yield return Case("queues-after-creation", SequenceError, 0x07, 0x0003_0003);
        yield return Case("queues-nsq-ffff", InvalidField, 0x07, 0x0000_FFFF);
        yield return Case("queues-ncq-ffff", InvalidField, 0x07, 0xFFFF_0000);
        yield return Case("vector-last", Success, 0x09, 4 | (1U << 16));
        yield return Case("vector-above", InvalidField, 0x09, 5);
        yield return Case("vector-ffff", InvalidField, 0x09, 0xFFFF);
    }

    private static IEnumerable<StatusCase> GetFeatures()
    {
        static StatusCase Case(string name, int status, uint feature, uint value = 0, uint nsid = 0) => Admin($"get-features/{name}", status, 0x0A, nsid, feature, value);

        foreach (uint feature in (uint[])[0x00, 0x03, 0x0C, 0x10, 0x80, 0x82, 0xFF])
        {
            yield return Case($"feature-{feature:X2}", InvalidField, feature);
        }

        foreach (uint feature in (uint[])[0x01, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0E, 0x81])
        {
            for (uint select = 0; select <= 3; select++)
            {
                yield return Case($"feature-{feature:X2}-select-{select}", Success, feature | (select << 8));
            }
        }

        yield return Case("select-4", InvalidField, 0x01 | (4U << 8));
        yield return Case("select-7", InvalidField, 0x01 | (7U << 8));
        yield return Case("recovery-namespace", Success, 0x05, nsid: 1);
        yield return Case("recovery-all", InvalidNamespace, 0x05, nsid: All);
        yield return Case("recovery-namespace-0", InvalidNamespace, 0x05, nsid: 0);
        yield return Case("vector-above", InvalidField, 0x09, 5);
        yield return Case("temperature-sensor-3", InvalidField, 0x04, 3U << 16);
        yield return Case("temperature-kind-3", InvalidField, 0x04, 3U << 20);
    }

    private static IEnumerable<StatusCase> Logs()
    {
        static StatusCase Case(string name, int status, uint log, uint dwords = 16, uint offset = 0, uint nsid = All, uint d14 = 0, uint dwordsHigh = 0)
            => Admin($"log/{name}", status, 0x02, nsid, log | ((dwords - 1) << 16), dwordsHigh, offset, d14);

        for (uint log = 0; log <= 5; log++)
        {
            yield return Case($"page-{log:X2}", Success, log);
        }

        foreach (uint log in (uint[])[0x06, 0x07, 0x08, 0x0D, 0x0E, 0x12, 0x70, 0x80, 0x81, 0xBF, 0xFF])
        {
            yield return Case($"page-{log:X2}", InvalidLogPage, log);
        }

        yield return Case("namespace-0", Success, 2, nsid: 0);
        yield return Case("health-of-namespace", InvalidField, 2, nsid: 1);
        yield return Case("namespace-absent", InvalidField, 2, nsid: 4);
        yield return Case("offset", Success, 1, offset: 64);
        yield return Case("offset-at-end", Success, 2, offset: 512);
        yield return Case("offset-behind-end", InvalidField, 2, offset: 516);
        yield return Case("offset-unaligned", InvalidField, 1, offset: 2);
        yield return Case("offset-as-index", InvalidField, 1, d14: 1U << 23);
        yield return Case("retain-event", Success, 1 | (1U << 15));
        yield return Case("length-16-gib", InvalidField, 1, dwords: 0x1_0000, dwordsHigh: 0xFFFF);
        yield return Case("length-above-mdts", InvalidField, 1, dwords: 1, dwordsHigh: 4);
    }

    private static IEnumerable<StatusCase> Aborts()
    {
        yield return Admin("abort/unknown", Success, 0x08, d10: 1 | (0x1234U << 16));
        yield return Admin("abort/admin-queue", Success, 0x08, d10: 0x1234U << 16);
        yield return Admin("abort/queue-absent", InvalidField, 0x08, d10: 9);
    }

    private static IEnumerable<StatusCase> Transfers(string name, byte opcode)
    {
        StatusCase Case(string what, int status, ulong block = 0, int blocks = 1, uint nsid = 1, int blockSize = 512)
            => Io($"{name}/{what}", status, rig => rig.Transfer(opcode, block, blocks, blockSize, nsid: nsid));

        yield return Case("first", Success);
        yield return Case("last", Success, Blocks - 1);
        yield return Case("last-two", Success, Blocks - 2, blocks: 2);
        yield return Case("across-the-end", LbaOutOfRange, Blocks - 1, blocks: 2);
        yield return Case("behind-the-end", LbaOutOfRange, Blocks);
        yield return Case("above-32-bits", LbaOutOfRange, 1UL << 32);
        yield return Case("overflow", LbaOutOfRange, ulong.MaxValue, blocks: 2);
        yield return Case("overflow-to-zero", LbaOutOfRange, ulong.MaxValue, blocks: 1);
        yield return Case("shifted-overflow", LbaOutOfRange, 1UL << 55, blocks: 1);
        yield return Case("namespace-0", InvalidNamespace, nsid: 0);
        yield return Case("namespace-absent", InvalidField, nsid: 4);
        yield return Case("namespace-256", InvalidField, nsid: 256);
        yield return Case("namespace-257", InvalidNamespace, nsid: 257);
        yield return Case("namespace-all", InvalidNamespace, nsid: All);
        yield return Case("namespace-2", Success, 63, nsid: 2, blockSize: 4096);
        yield return Case("namespace-2-behind-the-end", LbaOutOfRange, 64, nsid: 2, blockSize: 4096);
        yield return Case("mdts", Success, blocks: 2048);
        yield return Case("above-mdts", InvalidField, blocks: 2049);
        yield return Case("above-mdts-65536", InvalidField, blocks: 65536);
    }

    private static IEnumerable<StatusCase> Lengths()
    {
        yield return Io("write/read-only", WriteProtected, rig => rig.Transfer(0x01, 0, 1, nsid: 3));
        yield return Io("read/read-only", Success, rig => rig.Transfer(0x02, 0, 1, nsid: 3));
        yield return Io("write/force-unit-access", Success, rig => rig.Transfer(0x01, 0, 1).Set(12, 1U << 30));
        yield return Io("read/limited-retry", Success, rig => rig.Transfer(0x02, 0, 1).Set(12, 1U << 31));
        yield return Io("compare/differs", CompareFailure, rig =>
        {
            rig.Data.Span[511] = 1;
            return rig.Transfer(0x05, 0, 1);
        });
        yield return Io("verify/good", Success, rig => rig.Transfer(0x0C, 0, 8));
        yield return Io("verify/behind-the-end", LbaOutOfRange, rig => rig.Transfer(0x0C, Blocks, 1));
        yield return Io("verify/namespace-absent", InvalidField, rig => rig.Transfer(0x0C, 0, 1, nsid: 9));
        yield return Io("verify/above-limit", InvalidField, rig => rig.Transfer(0x0C, 0, 2049));
    }

    private static IEnumerable<StatusCase> Pointers()
    {
        foreach ((string name, byte opcode) in ((string, byte)[])[("read", 0x02), ("write", 0x01)])
        {
            yield return Io($"{name}/prp1-byte", PrpOffsetInvalid, rig => rig.Transfer(opcode, 0, 1, offset: 1));
            yield return Io($"{name}/prp1-word", PrpOffsetInvalid, rig => rig.Transfer(opcode, 0, 1, offset: 2));
            yield return Io($"{name}/prp1-dword", Success, rig => rig.Transfer(opcode, 0, 1, offset: 4));
            yield return Io($"{name}/prp1-unmapped", DataTransferError, rig => With(rig.Transfer(opcode, 0, 1), prp1: Nowhere));
            yield return Io($"{name}/prp1-at-the-top", DataTransferError, rig => With(rig.Transfer(opcode, 0, 1), prp1: ulong.MaxValue - 3));
            yield return Io($"{name}/prp2-unused", Success, rig => With(rig.Transfer(opcode, 0, 8), prp2: ulong.MaxValue));
            yield return Io($"{name}/prp2-offset", PrpOffsetInvalid, rig => With(rig.Transfer(opcode, 0, 16), prp2: rig.Data.Iova + 4096 + 512));
            yield return Io($"{name}/prp2-unmapped", DataTransferError, rig => With(rig.Transfer(opcode, 0, 16), prp2: Nowhere));
            yield return Io($"{name}/list-unaligned", PrpOffsetInvalid, rig => With(rig.Transfer(opcode, 0, 24), prp2: rig.Data.Iova + 4));
            yield return Io($"{name}/list-unmapped", DataTransferError, rig => With(rig.Transfer(opcode, 0, 24), prp2: Nowhere));
            yield return Io($"{name}/list-entry-offset", PrpOffsetInvalid, rig => WithList(rig.Transfer(opcode, 0, 24), rig, [rig.Data.Iova + 4096, rig.Data.Iova + 8192 + 8]));
            yield return Io($"{name}/list-entry-unmapped", DataTransferError, rig => WithList(rig.Transfer(opcode, 0, 24), rig, [rig.Data.Iova + 4096, Nowhere]));
            yield return Io($"{name}/list-chained", Success, rig => WithChain(rig.Transfer(opcode, 0, 32), rig, offset: 4096 - 16, second: 0));
            yield return Io($"{name}/list-chained-from-last", Success, rig => WithChain(rig.Transfer(opcode, 0, 32), rig, offset: 4096 - 8, second: 0));
            yield return Io($"{name}/list-chain-offset", PrpOffsetInvalid, rig => WithChain(rig.Transfer(opcode, 0, 32), rig, offset: 4096 - 16, second: 8));
        }
    }

    private static IEnumerable<StatusCase> Sgls()
    {
        foreach ((string name, byte opcode) in ((string, byte)[])[("read", 0x02), ("write", 0x01)])
        {
            yield return Io($"{name}/sgl-block", Success, rig => rig.Transfer(opcode, 0, 1).Sgl(rig.Data.Iova, 512));
            yield return Io($"{name}/sgl-byte-aligned", Success, rig => rig.Transfer(opcode, 0, 1).Sgl(rig.Data.Iova + 1, 512));
            yield return Io($"{name}/sgl-longer", Success, rig => rig.Transfer(opcode, 0, 1).Sgl(rig.Data.Iova, 1024));
            yield return Io($"{name}/sgl-shorter", SglLengthInvalid, rig => rig.Transfer(opcode, 0, 2).Sgl(rig.Data.Iova, 1023));
            yield return Io($"{name}/sgl-unmapped", DataTransferError, rig => rig.Transfer(opcode, 0, 1).Sgl(Nowhere, 512));
            foreach (byte kind in (byte[])[1, 4, 5, 6, 15])
            {
                yield return Io($"{name}/sgl-kind-{kind}", SglTypeInvalid, rig => rig.Transfer(opcode, 0, 1).Sgl(rig.Data.Iova, 512, kind));
            }

            yield return Io($"{name}/sgl-subtype", SglTypeInvalid, rig => rig.Transfer(opcode, 0, 1).Sgl(rig.Data.Iova, 512, kind: 0) is var command ? With(command, prp2: command.Prp2 | (1UL << 56)) : command);
            yield return Io($"{name}/sgl-segment-empty", InvalidSglSegment, rig => rig.Transfer(opcode, 0, 1).Sgl(rig.Data.Iova, 0, kind: 3));
            yield return Io($"{name}/sgl-segment-odd", InvalidSglSegment, rig => rig.Transfer(opcode, 0, 1).Sgl(rig.Data.Iova, 24, kind: 3));
            yield return Io($"{name}/sgl-segment-unmapped", DataTransferError, rig => rig.Transfer(opcode, 0, 1).Sgl(Nowhere, 32, kind: 3));
            yield return Io($"{name}/sgl-last-segment", Success, rig => WithSegment(rig, opcode, last: true, (rig.Data.Iova, 500, 0), (rig.Data.Iova + 600, 524, 0)));
            yield return Io($"{name}/sgl-segment-too-short", SglLengthInvalid, rig => WithSegment(rig, opcode, last: true, (rig.Data.Iova, 500, 0), (rig.Data.Iova + 600, 523, 0)));
            yield return Io($"{name}/sgl-segment-without-end", InvalidSglSegment, rig => WithSegment(rig, opcode, last: false, (rig.Data.Iova, 500, 0), (rig.Data.Iova + 600, 500, 0)));
            yield return Io($"{name}/sgl-segment-in-last", InvalidSglSegment, rig => WithSegment(rig, opcode, last: true, (rig.Data.Iova, 500, 0), (rig.Data.Iova + 600, 32, 3)));
            yield return Io($"{name}/sgl-segment-in-the-middle", InvalidSglSegment, rig => WithSegment(rig, opcode, last: false, (rig.Data.Iova, 32, 3), (rig.Data.Iova + 600, 1024, 0)));
            yield return Io($"{name}/sgl-bit-bucket", opcode == 0x02 ? Success : SglTypeInvalid, rig => WithSegment(rig, opcode, last: true, (0, 512, 1), (rig.Data.Iova, 512, 0)));
            yield return Io($"{name}/sgl-loop", 0x00E, rig => WithLoop(rig, opcode));
        }
    }

    private static IEnumerable<StatusCase> WriteZeroes()
    {
        yield return Io("write-zeroes/good", Success, rig => rig.Transfer(0x08, 0, 8));
        yield return Io("write-zeroes/whole", Success, rig => rig.Transfer(0x08, 0, (int)Blocks));
        yield return Io("write-zeroes/deallocate", Success, rig => rig.Transfer(0x08, 1, 1).Set(12, 1U << 25));
        yield return Io("write-zeroes/across-the-end", LbaOutOfRange, rig => rig.Transfer(0x08, 1, (int)Blocks));
        yield return Io("write-zeroes/overflow", LbaOutOfRange, rig => rig.Transfer(0x08, ulong.MaxValue, 65536));
        yield return Io("write-zeroes/namespace-0", InvalidNamespace, rig => rig.Transfer(0x08, 0, 1, nsid: 0));
        yield return Io("write-zeroes/read-only", WriteProtected, rig => rig.Transfer(0x08, 0, 1, nsid: 3));
    }

    private static IEnumerable<StatusCase> Datasets()
    {
        static StatusCase Case(string name, int status, (ulong First, uint Blocks)[] ranges, uint attributes = 4, uint nsid = 1)
            => Io($"dataset/{name}", status, rig =>
            {
                for (int i = 0; i < ranges.Length; i++)
                {
                    Span<byte> range = rig.Data.Slice((nuint)(i * 16), 16);
                    range.Clear();
                    BitConverter.TryWriteBytes(range[4..], ranges[i].Blocks);
                    BitConverter.TryWriteBytes(range[8..], ranges[i].First);
                }

                return new RawCommand(0x09, nsid) { Prp1 = rig.Data.Iova }.Set(10, (uint)ranges.Length - 1).Set(11, attributes);
            });

        yield return Case("good", Success, [(0, 8)]);
        yield return Case("whole", Success, [(0, Blocks)]);
        yield return Case("empty", Success, [(0, 0)]);
        yield return Case("last", Success, [(Blocks - 1, 1)]);
        yield return Case("across-the-end", LbaOutOfRange, [(Blocks - 1, 2)]);
        yield return Case("behind-the-end", LbaOutOfRange, [(Blocks + 1, 0)]);
        yield return Case("overflow", LbaOutOfRange, [(ulong.MaxValue, uint.MaxValue)]);
        yield return Case("second-outside", LbaOutOfRange, [(0, 1), (Blocks, 1)]);
        yield return Case("most-ranges", Success, [.. Enumerable.Range(0, 256).Select(static i => ((ulong)i * 2, 1U))]);
        yield return Case("hint-only", Success, [(Blocks, 1)], attributes: 1);
        yield return Case("namespace-0", InvalidNamespace, [(0, 1)], nsid: 0);
        yield return Case("namespace-all", InvalidNamespace, [(0, 1)], nsid: All);
        yield return Case("read-only", WriteProtected, [(0, 1)], nsid: 3);
        yield return Io("dataset/unmapped", DataTransferError, _ => new RawCommand(0x09, 1) { Prp1 = Nowhere }.Set(11, 4));
        yield return Io("dataset/prp1-unaligned", PrpOffsetInvalid, rig => new RawCommand(0x09, 1) { Prp1 = rig.Data.Iova + 2 }.Set(11, 4));
    }

    private static IEnumerable<StatusCase> Flushes()
    {
        foreach ((uint nsid, int status) in ((uint, int)[])[(1, Success), (2, Success), (3, Success), (All, Success), (0, InvalidNamespace), (4, InvalidField), (257, InvalidNamespace)])
        {
            yield return Io($"flush/namespace-{nsid:X}", status, _ => new RawCommand(0x00, nsid));
        }
    }

    private static RawCommand WithFlags(RawCommand command, byte flags)
    {
        command.Flags = flags;
        return command;
    }

    private static RawCommand With(RawCommand command, ulong? prp1 = null, ulong? prp2 = null)
    {
        command.Prp1 = prp1 ?? command.Prp1;
        command.Prp2 = prp2 ?? command.Prp2;
        return command;
    }

    private static RawCommand WithList(RawCommand command, NvmeRig rig, ulong[] entries)
    {
        const int ListOffset = 1 << 20;
        entries.CopyTo(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(rig.Data.Slice(ListOffset, entries.Length * 8)));
        return With(command, prp2: rig.Data.Iova + ListOffset);
    }

    /// <summary>A list of three entries that begins near the end of a page and goes on in another.</summary>
    private static RawCommand WithChain(RawCommand command, NvmeRig rig, int offset, ulong second)
    {
        const int FirstPage = 1 << 20;
        const int SecondPage = FirstPage + 8192;
        ulong[] entries = [rig.Data.Iova + 4096, rig.Data.Iova + 8192, rig.Data.Iova + 12288];
        int inFirst = ((4096 - offset) / 8) - 1;
        Span<ulong> first = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(rig.Data.Slice((nuint)(FirstPage + offset), 4096 - offset));
        entries.AsSpan(0, inFirst).CopyTo(first);
        first[inFirst] = rig.Data.Iova + SecondPage + second;
        entries.AsSpan(inFirst).CopyTo(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(rig.Data.Slice((nuint)(SecondPage + (int)second), 64)));
        return With(command, prp2: rig.Data.Iova + (ulong)(FirstPage + offset));
    }

    private static RawCommand WithSegment(NvmeRig rig, byte opcode, bool last, params (ulong Address, uint Length, byte Kind)[] descriptors)
    {
        const int SegmentOffset = 1 << 20;
        for (int i = 0; i < descriptors.Length; i++)
        {
            WriteDescriptor(rig.Data.Slice((nuint)(SegmentOffset + (i * 16)), 16), descriptors[i].Address, descriptors[i].Length, descriptors[i].Kind);
        }

        return rig.Transfer(opcode, 0, 2).Sgl(rig.Data.Iova + SegmentOffset, (uint)descriptors.Length * 16, last ? (byte)3 : (byte)2);
    }

    /// <summary>A segment of empty blocks that leads to itself.</summary>
    private static RawCommand WithLoop(NvmeRig rig, byte opcode)
    {
        const int SegmentOffset = 1 << 20;
        ulong segment = rig.Data.Iova + SegmentOffset;
        WriteDescriptor(rig.Data.Slice(SegmentOffset, 16), rig.Data.Iova, 0, 0);
        WriteDescriptor(rig.Data.Slice(SegmentOffset + 16, 16), segment, 32, 2);
        return rig.Transfer(opcode, 0, 2).Sgl(segment, 32, 2);
    }

    private static void WriteDescriptor(Span<byte> descriptor, ulong address, uint length, byte kind)
    {
        descriptor.Clear();
        BitConverter.TryWriteBytes(descriptor, address);
        BitConverter.TryWriteBytes(descriptor[8..], length);
        descriptor[15] = (byte)(kind << 4);
    }
}
