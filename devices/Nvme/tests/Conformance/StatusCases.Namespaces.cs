using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Conformance;

/// <content>Formats, protection information, Copy, Write Uncorrectable, and the management of namespaces.</content>
internal static partial class StatusCases
{
    private const int FormatInvalid = 0x10A;
    private const int ProtectionInvalid = 0x181;
    private const int SizeLimit = 0x183;
    private const int FeatureNotChangeable = 0x10E;

    /// <summary>Namespace 1 has protection of type 1 in a buffer, 2 of type 1 behind the data, 3 of type 3, 4 metadata without protection; 64 blocks of 512 bytes.</summary>
    public static NvmeOptions ProtectedOptions => new()
    {
        Queues = 4,
        QueueEntries = 256,
        Namespaces =
        [
            new() { Size = 64 * 512, MetadataSize = 8, Protection = 1 },
            new() { Size = 64 * 512, MetadataSize = 8, Protection = 1, IsMetadataExtended = true },
            new() { Size = 64 * 512, MetadataSize = 8, Protection = 3 },
            new() { Size = 64 * 512, MetadataSize = 8 },
        ],
    };

    /// <summary>Namespace 1 of 32 KiB, and 1 MiB for further ones.</summary>
    public static NvmeOptions ManagedOptions => new() { Queues = 4, QueueEntries = 256, Namespaces = [new() { Size = 64 * 512 }], ManagedCapacity = 1 << 20 };

    private static IEnumerable<StatusCase> Formats()
    {
        static StatusCase Case(string name, int status, uint fields, uint nsid = 1) => Admin($"format/{name}", status, 0x80, nsid, fields);

        for (uint index = 0; index < 16; index++)
        {
            yield return Case($"lbaf-{index}", index < 4 ? Success : FormatInvalid, index);
        }

        yield return Case("lbaf-upper", FormatInvalid, 1 << 12);
        yield return Case("without-metadata-lbaf-1", Success, 1, nsid: 2);
        yield return Case("without-metadata-lbaf-2", FormatInvalid, 2, nsid: 2);
        yield return Case("metadata-extended", Success, 2 | 0x10);
        for (uint type = 0; type < 8; type++)
        {
            yield return Case($"protection-{type}", type < 4 ? Success : FormatInvalid, 2 | (type << 5));
            yield return Case($"protection-{type}-first", type < 4 ? Success : FormatInvalid, 3 | (type << 5) | 0x100);
        }

        yield return Case("protection-without-metadata", FormatInvalid, 0 | (1 << 5));
        yield return Case("erase-user-data", Success, 1 << 9);
        for (uint erase = 2; erase < 8; erase++)
        {
            yield return Case($"erase-{erase}", InvalidField, erase << 9);
        }

        yield return Case("namespace-0", InvalidNamespace, 0, nsid: 0);
        yield return Case("namespace-absent", InvalidField, 0, nsid: 4);
        yield return Case("namespace-257", InvalidNamespace, 0, nsid: 257);
        yield return Case("read-only", WriteProtected, 0, nsid: 3);
        yield return Case("all-with-read-only", WriteProtected, 0, nsid: All);
        yield return Admin("format/all", Success, 0x80, All, 3 | (1 << 5)) with { Options = static () => ProtectedOptions };
    }

    private static IEnumerable<StatusCase> Protection()
    {
        // A command on blocks that were never written, or with tuples of zeros: PRINFO, reference, application tag and mask.
        static StatusCase Case(string name, int status, byte opcode, uint information, uint reference = 0, uint tags = 0, uint nsid = 1, ulong block = 0, int blocks = 1)
            => Io($"protection/{name}", status, rig =>
            {
                RawCommand command = rig.Transfer(opcode, block, blocks, blockSize: 520, nsid: nsid);
                command[4] = (uint)(rig.Data.Iova + (1 << 20));
                command[5] = (uint)((rig.Data.Iova + (1 << 20)) >> 32);
                return command.Set(12, command[12] | (information << 26)).Set(14, reference).Set(15, tags);
            }) with
            { Options = static () => ProtectedOptions };

        foreach (uint nsid in (uint[])[1, 2])
        {
            string where = nsid == 1 ? "buffer" : "extended";
            yield return Case($"{where}/read-unwritten-all-checks", Success, 0x02, 7, nsid: nsid);
            yield return Case($"{where}/read-made-here", Success, 0x02, 15, nsid: nsid);
            yield return Case($"{where}/read-reference-differs-from-block", ProtectionInvalid, 0x02, 1, reference: 5, nsid: nsid);
            yield return Case($"{where}/read-reference-unchecked", Success, 0x02, 6, reference: 5, nsid: nsid);
            yield return Case($"{where}/read-last", Success, 0x02, 1, reference: 63, nsid: nsid, block: 63);
            yield return Case($"{where}/read-behind-the-end", LbaOutOfRange, 0x02, 1, reference: 64, nsid: nsid, block: 64);
            yield return Case($"{where}/write-zeros", Success, 0x01, 7, nsid: nsid);
            yield return Case($"{where}/write-made-here", Success, 0x01, 8, nsid: nsid);
            yield return Case($"{where}/write-application-differs", 0x283, 0x01, 2, tags: 0xFFFF_0001, nsid: nsid);
            yield return Case($"{where}/write-application-masked", Success, 0x01, 2, tags: 0xFFF0_0001, nsid: nsid);
            yield return Case($"{where}/write-reference-differs", 0x284, 0x01, 1, reference: 1, block: 1, nsid: nsid);
            yield return Case($"{where}/write-reference-invalid", ProtectionInvalid, 0x01, 1, reference: 1, nsid: nsid);
            yield return Case($"{where}/compare-made-here", ProtectionInvalid, 0x05, 8, nsid: nsid);
            yield return Case($"{where}/compare-unwritten", Success, 0x05, 7, nsid: nsid);
            yield return Case($"{where}/verify-made-here", ProtectionInvalid, 0x0C, 8, nsid: nsid);
            yield return Case($"{where}/verify", Success, 0x0C, 7, nsid: nsid);
            yield return Case($"{where}/zeroes-checked", ProtectionInvalid, 0x08, 1, nsid: nsid);
            yield return Case($"{where}/zeroes-made-here", Success, 0x08, 8, nsid: nsid);
            yield return Case($"{where}/zeroes", Success, 0x08, 0, nsid: nsid, blocks: 64);
        }

        yield return Io("protection/write-guard-differs", 0x282, rig => WithTuple(rig, guard: 1, information: 4)) with { Options = static () => ProtectedOptions };
        yield return Io("protection/write-guard-differs-unchecked", Success, rig => WithTuple(rig, guard: 1, information: 3)) with { Options = static () => ProtectedOptions };
        yield return Io("protection/write-escape", Success, rig => WithTuple(rig, guard: 1, information: 7, application: 0xFFFF)) with { Options = static () => ProtectedOptions };
        yield return Io("protection/type-3-write-half-escape", 0x282, rig => WithTuple(rig, guard: 1, information: 4, application: 0xFFFF, nsid: 3)) with { Options = static () => ProtectedOptions };
        yield return Io("protection/type-3-write-escape", Success, rig => WithTuple(rig, guard: 1, information: 4, application: 0xFFFF, reference: uint.MaxValue, nsid: 3)) with { Options = static () => ProtectedOptions };
        yield return Case("type-3-reference-checked", ProtectionInvalid, 0x02, 1, nsid: 3);
        yield return Case("type-3-guard", Success, 0x01, 4, nsid: 3);
        yield return Case("metadata-only-read", Success, 0x02, 15, reference: 9, nsid: 4);
        yield return Case("metadata-only-write", Success, 0x01, 15, reference: 9, nsid: 4);
        yield return Io("protection/metadata-pointer-unaligned", InvalidField, rig => WithTuple(rig, 0, 0).Set(4, (uint)rig.Data.Iova + 2)) with { Options = static () => ProtectedOptions };
        yield return Io("protection/metadata-pointer-unmapped", DataTransferError, rig => WithTuple(rig, 0, 0).Set(5, 0xF0)) with { Options = static () => ProtectedOptions };
        yield return Io("protection/metadata-sgl", Success, rig => WithMetadataDescriptor(rig, 8, kind: 0)) with { Options = static () => ProtectedOptions };
        yield return Io("protection/metadata-sgl-short", SglLengthInvalid, rig => WithMetadataDescriptor(rig, 7, kind: 0)) with { Options = static () => ProtectedOptions };
        yield return Io("protection/metadata-sgl-kind", SglTypeInvalid, rig => WithMetadataDescriptor(rig, 8, kind: 5)) with { Options = static () => ProtectedOptions };
    }

    private static IEnumerable<StatusCase> Copies()
    {
        static StatusCase Case(string name, int status, (ulong First, uint Blocks)[] ranges, ulong target = 0, uint format = 0, uint nsid = 1, uint extra = 0)
            => Io($"copy/{name}", status, rig =>
            {
                WriteCopyRanges(rig, ranges);
                return new RawCommand(0x19, nsid) { Prp1 = rig.Data.Iova }
                    .Set(10, (uint)target).Set(11, (uint)(target >> 32)).Set(12, ((uint)ranges.Length - 1) | (format << 8) | extra);
            });

        yield return Case("good", Success, [(100, 8)]);
        yield return Case("several", Success, [(100, 8), (200, 1), (4095, 1)]);
        yield return Case("overlapping", Success, [(0, 8)], target: 4);
        yield return Case("most-blocks", Success, [(0, 512)], target: 1024);
        yield return Case("range-too-long", SizeLimit, [(0, 513)]);
        yield return Case("all-too-long", SizeLimit, [(0, 512), (0, 1)]);
        yield return Case("most-ranges", Success, [.. Enumerable.Range(0, 128).Select(static i => ((ulong)i, 1U))], target: 1000);
        yield return Case("too-many-ranges", SizeLimit, [.. Enumerable.Range(0, 129).Select(static i => ((ulong)i, 1U))]);
        yield return Case("source-behind-the-end", LbaOutOfRange, [(Blocks, 1)]);
        yield return Case("source-across-the-end", LbaOutOfRange, [(Blocks - 1, 2)]);
        yield return Case("source-overflow", LbaOutOfRange, [(ulong.MaxValue, 2)]);
        yield return Case("target-across-the-end", LbaOutOfRange, [(0, 2)], target: Blocks - 1);
        yield return Case("target-overflow", LbaOutOfRange, [(0, 2)], target: ulong.MaxValue);
        for (uint format = 1; format < 16; format++)
        {
            yield return Case($"format-{format}", InvalidField, [(0, 1)], format: format);
        }

        yield return Case("force-unit-access", Success, [(0, 1)], nsid: 2, extra: 1U << 30);
        yield return Case("read-only", WriteProtected, [(0, 1)], nsid: 3);
        yield return Case("namespace-0", InvalidNamespace, [(0, 1)], nsid: 0);
        yield return Case("namespace-absent", InvalidField, [(0, 1)], nsid: 4);
        yield return Io("copy/unmapped", DataTransferError, _ => new RawCommand(0x19, 1) { Prp1 = Nowhere });
        yield return Case("protection-made-at-one-side", ProtectionInvalid, [(0, 1)], target: 1, extra: 1U << 29) with { Options = static () => ProtectedOptions };
        yield return Case("protection-made-at-both-sides", Success, [(0, 1)], target: 1, extra: (1U << 29) | (1U << 15)) with { Options = static () => ProtectedOptions };
        yield return Case("protection-source-reference", ProtectionInvalid, [(3, 1)], target: 1, extra: 1U << 12) with { Options = static () => ProtectedOptions };
    }

    private static IEnumerable<StatusCase> Uncorrectable()
    {
        yield return Io("write-uncorrectable/good", Success, rig => rig.Transfer(0x04, 0, 8));
        yield return Io("write-uncorrectable/last", Success, rig => rig.Transfer(0x04, Blocks - 1, 1));
        yield return Io("write-uncorrectable/whole", Success, rig => rig.Transfer(0x04, 0, (int)Blocks));
        yield return Io("write-uncorrectable/across-the-end", LbaOutOfRange, rig => rig.Transfer(0x04, Blocks - 1, 2));
        yield return Io("write-uncorrectable/overflow", LbaOutOfRange, rig => rig.Transfer(0x04, ulong.MaxValue, 2));
        yield return Io("write-uncorrectable/read-only", WriteProtected, rig => rig.Transfer(0x04, 0, 1, nsid: 3));
        yield return Io("write-uncorrectable/namespace-absent", InvalidField, rig => rig.Transfer(0x04, 0, 1, nsid: 4));
    }

    private static IEnumerable<StatusCase> Management()
    {
        static StatusCase Managed(string name, int status, Func<NvmeRig, RawCommand> build) => Admin(name, status, build) with { Options = static () => ManagedOptions };

        static StatusCase Create(string name, int status, ulong size, ulong? capacity = null, byte format = 0, byte protection = 0, byte shared = 0, uint nsid = 0, uint d11 = 0)
            => Managed($"create/{name}", status, rig =>
            {
                rig.Data.Slice(0, 4096).Clear();
                BinaryPrimitives.WriteUInt64LittleEndian(rig.Data.Span, size);
                BinaryPrimitives.WriteUInt64LittleEndian(rig.Data.Slice(8, 8), capacity ?? size);
                rig.Data.Span[26] = format;
                rig.Data.Span[29] = protection;
                rig.Data.Span[30] = shared;
                return new RawCommand(0x0D, nsid) { Prp1 = rig.Data.Iova }.Set(11, d11);
            });

        static StatusCase Attach(string name, int status, uint select, uint nsid = 1, ushort count = 1, ushort controller = 1)
            => Managed($"attach/{name}", status, rig =>
            {
                rig.Data.Slice(0, 4096).Clear();
                BinaryPrimitives.WriteUInt16LittleEndian(rig.Data.Span, count);
                BinaryPrimitives.WriteUInt16LittleEndian(rig.Data.Slice(2, 2), controller);
                return new RawCommand(0x15, nsid) { Prp1 = rig.Data.Iova }.Set(10, select);
            });

        yield return Create("good", Success, 16);
        yield return Create("all-there-is", Success, 2048);
        yield return Create("too-large", 0x115, 2049);
        yield return Create("far-too-large", 0x115, ulong.MaxValue);
        yield return Create("size-0", InvalidField, 0);
        yield return Create("thin", 0x11B, 16, capacity: 8);
        yield return Create("blocks-of-4096", Success, 256, format: 1);
        yield return Create("blocks-of-4096-too-large", 0x115, 257, format: 1);
        yield return Create("protected", Success, 16, format: 2, protection: 1);
        yield return Create("protected-extended", Success, 16, format: 0x13, protection: 0x0B);
        yield return Create("protected-without-metadata", FormatInvalid, 16, protection: 1);
        yield return Create("format-4", FormatInvalid, 16, format: 4);
        yield return Create("format-upper", FormatInvalid, 16, format: 0x20);
        yield return Create("shared", InvalidField, 16, shared: 1);
        yield return Create("with-namespace", InvalidField, 16, nsid: 5);
        yield return Create("zoned", InvalidField, 16, d11: 2U << 24);
        yield return Managed("create/unmapped", DataTransferError, _ => new RawCommand(0x0D) { Prp1 = Nowhere });
        yield return Managed("delete/good", Success, _ => new RawCommand(0x0D, 1).Set(10, 1));
        yield return Managed("delete/all", Success, _ => new RawCommand(0x0D, All).Set(10, 1));
        yield return Managed("delete/absent", InvalidField, _ => new RawCommand(0x0D, 2).Set(10, 1));
        yield return Managed("delete/namespace-0", InvalidNamespace, _ => new RawCommand(0x0D, 0).Set(10, 1));
        yield return Managed("management/select-2", InvalidField, _ => new RawCommand(0x0D, 1).Set(10, 2));
        yield return Attach("already", 0x118, 0);
        yield return Attach("detach", Success, 1);
        yield return Attach("absent", InvalidField, 0, nsid: 2);
        yield return Attach("namespace-0", InvalidNamespace, 0, nsid: 0);
        yield return Attach("select-2", InvalidField, 2);
        yield return Attach("no-controller", 0x11C, 1, count: 0);
        yield return Attach("other-controller", 0x11C, 1, controller: 2);
        yield return Attach("two-controllers", 0x11C, 1, count: 2);
        yield return Attach("too-many-controllers", 0x11C, 1, count: 2048);
        foreach ((uint structure, uint nsid, int status) in ((uint, uint, int)[])
            [(0x00, All, Success), (0x10, 0, Success), (0x10, 0xFFFF_FFFE, InvalidNamespace), (0x11, 1, Success), (0x11, 2, Success), (0x11, 0, InvalidNamespace), (0x12, 1, Success), (0x12, 257, InvalidNamespace), (0x13, 0, Success), (0x14, 0, InvalidField), (0x15, 0, InvalidField), (0x1A, 0, Success)])
        {
            yield return Managed($"managed/identify-{structure:X2}-namespace-{nsid:X}", status, rig => new RawCommand(0x06, nsid) { Prp1 = rig.Data.Iova }.Set(10, structure));
        }
    }

    private static IEnumerable<StatusCase> FurtherFeatures()
    {
        for (uint state = 0; state < 8; state++)
        {
            yield return Admin($"set-features/write-protection-{state}", state < 2 ? Success : InvalidField, 0x09, nsid: 1, 0x84, state);
        }

        yield return Admin("set-features/write-protection-saved", FeatureNotSaveable, 0x09, nsid: 1, 0x84 | (1U << 31), 1);
        yield return Admin("set-features/write-protection-read-only", FeatureNotChangeable, 0x09, nsid: 3, 0x84, 0);
        yield return Admin("set-features/write-protection-absent", InvalidField, 0x09, nsid: 4, 0x84, 1);
        yield return Admin("set-features/write-protection-all", InvalidNamespace, 0x09, nsid: All, 0x84, 1);
        yield return Admin("get-features/write-protection", Success, 0x0A, nsid: 1, 0x84);
        yield return Admin("get-features/write-protection-absent", InvalidField, 0x0A, nsid: 4, 0x84);
        yield return Admin("set-features/host-identifier-16", Success, 0x09, 0, 0x81, 1);
        yield return Admin("set-features/timestamp-unmapped", DataTransferError, _ => new RawCommand(0x09) { Prp1 = Nowhere }.Set(10, 0x0E));
        yield return Admin("set-features/host-identifier-unmapped", DataTransferError, _ => new RawCommand(0x09) { Prp1 = Nowhere }.Set(10, 0x81));
    }

    private static void WriteCopyRanges(NvmeRig rig, (ulong First, uint Blocks)[] ranges)
    {
        for (int i = 0; i < ranges.Length; i++)
        {
            Span<byte> range = rig.Data.Slice((nuint)(i * 32), 32);
            range.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(range[8..], ranges[i].First);
            BinaryPrimitives.WriteUInt16LittleEndian(range[16..], (ushort)(ranges[i].Blocks - 1));
        }
    }

    /// <summary>A write of a block of zeros with a tuple.</summary>
    private static RawCommand WithTuple(NvmeRig rig, ushort guard, uint information, ushort application = 0, uint reference = 0, uint nsid = 1)
    {
        const int TupleOffset = 1 << 20;
        Span<byte> tuple = rig.Data.Slice(TupleOffset, 8);
        BinaryPrimitives.WriteUInt16BigEndian(tuple, guard);
        BinaryPrimitives.WriteUInt16BigEndian(tuple[2..], application);
        BinaryPrimitives.WriteUInt32BigEndian(tuple[4..], reference);
        RawCommand command = rig.Transfer(0x01, 0, 1, nsid: nsid);
        return command.Set(4, (uint)(rig.Data.Iova + TupleOffset)).Set(5, (uint)((rig.Data.Iova + TupleOffset) >> 32)).Set(12, information << 26);
    }

    /// <summary>A write whose metadata pointer leads to an SGL descriptor.</summary>
    private static RawCommand WithMetadataDescriptor(NvmeRig rig, uint length, byte kind)
    {
        const int DescriptorOffset = 1 << 20;
        WriteDescriptor(rig.Data.Slice(DescriptorOffset, 16), rig.Data.Iova + 8192, length, kind);
        RawCommand command = rig.Transfer(0x01, 0, 1).Sgl(rig.Data.Iova, 512);
        command.Flags = 0x80;
        return command.Set(4, (uint)(rig.Data.Iova + DescriptorOffset)).Set(5, (uint)((rig.Data.Iova + DescriptorOffset) >> 32));
    }
}
