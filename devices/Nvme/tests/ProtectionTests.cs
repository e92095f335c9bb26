using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Metadata and protection information: what is kept, made, checked and kept from the host.</summary>
public sealed class ProtectionTests
{
    private const int MetadataOffset = 1 << 20;

    /// <summary>Both block sizes, the three types, both places of metadata, both kinds of backend.</summary>
    public static TheoryData<int, int, bool, bool> Formats
    {
        get
        {
            var rows = new TheoryData<int, int, bool, bool>();
            for (int i = 0; i < 24; i++)
            {
                rows.Add(i % 2 == 0 ? 512 : 4096, (i / 2 % 3) + 1, i / 6 % 2 == 0, i / 12 == 0);
            }

            return rows;
        }
    }

    private static NvmeOptions Options(int block, int type, bool extended, bool waits = false, bool polled = false) => new()
    {
        Polled = polled,
        Namespaces =
        [
            new()
            {
                Size = 4 << 20,
                BlockSize = block,
                MetadataSize = 8,
                Protection = type,
                IsMetadataExtended = extended,
                Backend = waits ? static size => new TestBackend(size) { MayWait = true } : null,
                MetadataBackend = waits ? static size => new MemoryBackend(size) : null,
            },
        ],
    };

    private static RawCommand Command(NvmeRig rig, byte opcode, ulong block, int blocks, int length, uint information, uint reference, uint tags = 0)
    {
        RawCommand command = rig.Transfer(opcode, block, blocks, length / blocks);
        ulong metadata = rig.Data.Iova + MetadataOffset;
        return command.Set(4, (uint)metadata).Set(5, (uint)(metadata >> 32)).Set(12, command[12] | (information << 26)).Set(14, reference).Set(15, tags);
    }

    /// <summary>A bit by bit computation, to compare with.</summary>
    private static ushort Guard(ReadOnlySpan<byte> data)
    {
        int crc = 0;
        foreach (byte next in data)
        {
            crc ^= next << 8;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = ((crc << 1) ^ ((crc & 0x8000) != 0 ? 0x8BB7 : 0)) & 0xFFFF;
            }
        }

        return (ushort)crc;
    }

    [Fact]
    public void Guard_has_the_known_values()
    {
        byte[] ones = new byte[32];
        Array.Fill(ones, (byte)0xFF);
        Assert.Equal(0xD0DB, GuardCrc.Compute("123456789"u8));
        Assert.Equal(0, GuardCrc.Compute(new byte[512]));
        Assert.Equal(0xA293, GuardCrc.Compute(ones));
        Assert.Equal(0x0224, GuardCrc.Compute([.. Enumerable.Range(0, 32).Select(static i => (byte)i)]));
        var random = new Random(4);
        foreach (int length in (int[])[0, 1, 15, 16, 17, 100, 512, 4095, 4096])
        {
            byte[] data = new byte[length];
            random.NextBytes(data);
            Assert.Equal(Guard(data), GuardCrc.Compute(data));
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task Information_made_by_the_controller_is_right_and_is_read_back(int block, int type, bool extended, bool waits)
    {
        const int Blocks = 40;
        const ulong First = 13;
        await using var rig = new NvmeRig(Options(block, type, extended, waits));
        RawQueue queue = rig.CreateQueue(1);
        byte[] written = new byte[Blocks * block];
        new Random(block + type).NextBytes(written);
        written.CopyTo(rig.Data.Slice(0, written.Length));
        uint reference = type == 1 ? (uint)First : 0xFFFF_FFF0;

        // PRACT: the host has no metadata.
        Assert.Equal(0, queue.Execute(Command(rig, 0x01, First, Blocks, written.Length, 8, reference, tags: 0x1234)).Status);
        rig.Data.Slice(0, 1500 * 1024).Clear();
        uint checks = type == 3 ? 6U : 7;
        Assert.Equal(0, queue.Execute(Command(rig, 0x02, First, Blocks, extended ? Blocks * (block + 8) : Blocks * block, checks, reference, tags: 0xFFFF_1234)).Status);

        for (int i = 0; i < Blocks; i++)
        {
            int at = extended ? i * (block + 8) : i * block;
            Assert.True(rig.Data.Slice((nuint)at, block).SequenceEqual(written.AsSpan(i * block, block)));
            ReadOnlySpan<byte> tuple = rig.Data.Slice((nuint)(extended ? at + block : MetadataOffset + (i * 8)), 8);
            Assert.Equal(Guard(written.AsSpan(i * block, block)), BinaryPrimitives.ReadUInt16BigEndian(tuple));
            Assert.Equal(0x1234, BinaryPrimitives.ReadUInt16BigEndian(tuple[2..]));
            Assert.Equal(type == 3 ? reference : reference + (uint)i, BinaryPrimitives.ReadUInt32BigEndian(tuple[4..]));
        }

        // And kept from the host, which gets the blocks alone.
        rig.Data.Slice(0, 1500 * 1024).Clear();
        Assert.Equal(0, queue.Execute(Command(rig, 0x02, First, Blocks, Blocks * block, 8 | checks, reference, tags: 0xFFFF_1234)).Status);
        Assert.True(rig.Data.Slice(0, written.Length).SequenceEqual(written));
        Assert.Equal(-1, rig.Data.Slice(MetadataOffset, 8 * Blocks).IndexOfAnyExcept((byte)0));
        Assert.Equal(0x283, queue.Execute(Command(rig, 0x0C, First, Blocks, Blocks * block, 2, reference, tags: 0xFFFF_1235)).Status);
    }

    [Fact]
    public async Task Wrong_information_is_found_with_its_block_and_nothing_is_written()
    {
        await using var rig = new NvmeRig(Options(512, 1, extended: false));
        RawQueue queue = rig.CreateQueue(1);
        rig.Data.Slice(0, 4096).Fill(9);
        for (int i = 0; i < 8; i++)
        {
            Span<byte> tuple = rig.Data.Slice((nuint)(MetadataOffset + (i * 8)), 8);
            BinaryPrimitives.WriteUInt16BigEndian(tuple, (ushort)(Guard(rig.Data.Slice(0, 512)) + (i == 5 ? 1 : 0)));
            BinaryPrimitives.WriteUInt32BigEndian(tuple[4..], (uint)(100 + i));
        }

        Assert.Equal(0x282, queue.Execute(Command(rig, 0x01, 100, 8, 4096, 5, 100)).Status);

        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x02) { Prp1 = rig.Data.Iova + 65536 }.Set(10, 1 | (15U << 16))).Status);
        Assert.Equal(105UL, BinaryPrimitives.ReadUInt64LittleEndian(rig.Data.Slice(65536 + 16, 8)));
        Assert.Equal(0, queue.Execute(Command(rig, 0x02, 100, 8, 4096, 8, 100)).Status);
        Assert.Equal(-1, rig.Data.Slice(0, 4096).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public async Task Blocks_that_were_never_written_or_were_deallocated_have_information_of_ones()
    {
        await using var rig = new NvmeRig(Options(512, 1, extended: false));
        RawQueue queue = rig.CreateQueue(1);
        Assert.Equal(0, queue.Execute(Command(rig, 0x01, 0, 4, 2048, 8, 0)).Status);
        rig.Data.Slice(0, 16).Clear();
        rig.Data.Span[4] = 4;
        Assert.Equal(0, queue.Execute(new RawCommand(0x09, 1) { Prp1 = rig.Data.Iova }.Set(11, 4)).Status);

        Assert.Equal(0, queue.Execute(Command(rig, 0x02, 0, 8, 4096, 7, 0)).Status);
        Assert.Equal(-1, rig.Data.Slice(MetadataOffset, 64).IndexOfAnyExcept((byte)0xFF));

        // Write Zeroes makes it, or makes it of zeros.
        Assert.Equal(0, queue.Execute(Command(rig, 0x08, 2, 2, 1024, 8, 2, tags: 7)).Status);
        Assert.Equal(0, queue.Execute(Command(rig, 0x08, 4, 1, 512, 0, 0)).Status);
        Assert.Equal(0, queue.Execute(Command(rig, 0x02, 2, 3, 1536, 0, 2)).Status);
        Assert.Equal("0000000700000002" + "0000000700000003" + "0000000000000000", Convert.ToHexString(rig.Data.Slice(MetadataOffset, 24)));
    }

    [Fact]
    public async Task Metadata_without_protection_is_kept_and_compared()
    {
        await using var rig = new NvmeRig(Options(4096, 0, extended: false));
        RawQueue queue = rig.CreateQueue(1);
        new Random(1).NextBytes(rig.Data.Slice(0, 64 * 1024));
        new Random(2).NextBytes(rig.Data.Slice(MetadataOffset, 128));
        byte[] metadata = rig.Data.Slice(MetadataOffset, 128).ToArray();

        Assert.Equal(0, queue.Execute(Command(rig, 0x01, 3, 16, 65536, 0, 0)).Status);
        Assert.Equal(0, queue.Execute(Command(rig, 0x05, 3, 16, 65536, 0, 0)).Status);
        rig.Data.Span[MetadataOffset + 127] ^= 1;
        Assert.Equal(0x285, queue.Execute(Command(rig, 0x05, 3, 16, 65536, 0, 0)).Status);
        Assert.Equal(0, queue.Execute(Command(rig, 0x02, 3, 16, 65536, 0, 0)).Status);
        Assert.True(rig.Data.Slice(MetadataOffset, 128).SequenceEqual(metadata));
    }

    [Fact]
    public async Task Reading_with_protection_allocates_nothing_for_each_command()
    {
        const int Rounds = 20_000;
        await using var rig = new NvmeRig(Options(512, 1, extended: false, polled: true));
        RawQueue queue = rig.CreateQueue(1);
        RawCommand command = Command(rig, 0x02, 0, 8, 4096, 7, 0);
        void Run(int count)
        {
            for (int i = 0; i < count; i++)
            {
                queue.Submit(command);
                while (!queue.TryTake(out _))
                {
                }
            }
        }

        Run(3000);
        long before = GC.GetTotalAllocatedBytes(precise: true);
        Run(Rounds);
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        Assert.True(allocated < Rounds, $"{allocated} bytes for {Rounds} commands");
    }
}
