using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>DEVICE_FEATURE in its binary form (spec vfio-core §5.12, §10.7).</summary>
public sealed class FeatureTests
{
    private const uint Get = VfioUapi.VFIO_DEVICE_FEATURE_GET;
    private const uint Set = VfioUapi.VFIO_DEVICE_FEATURE_SET;
    private const uint Probe = VfioUapi.VFIO_DEVICE_FEATURE_PROBE;
    private const uint LogStart = VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
    private const uint LogReport = VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;

    [Fact]
    public async Task Case104_sizes_and_flags()
    {
        await using CoreFixture f = new();
        VfioDeviceFile file = Open(f, new TestMigration());
        Assert.Equal(Errno.EINVAL, Run(file, 1 | Get, 8, argsz: 7).Error);
        Assert.Equal(Errno.EINVAL, Run(file, 1 | Get | (1 << 19), 8).Error);
        Assert.Equal(Errno.EINVAL, Run(file, 1 | Get | Set, 8).Error);
    }

    [Theory]
    [InlineData(Probe, Errno.None)]
    [InlineData(Probe | Get, Errno.None)]
    [InlineData(Probe | Set, Errno.EINVAL)]
    [InlineData(Probe | Get | Set, Errno.EINVAL)]
    [InlineData(0u, Errno.EINVAL)]
    public async Task Case105_106_probing_migration(uint operation, Errno expected)
    {
        await using CoreFixture f = new();
        Assert.Equal(expected, Run(Open(f, new TestMigration()), 1 | operation, 8, out byte[] data).Error);
        Assert.All(data, static value => Assert.Equal(0, value));
    }

    [Fact]
    public async Task Case107_without_migration()
    {
        await using CoreFixture f = new();
        VfioDeviceFile file = Open(f, null);
        foreach (uint operation in new[] { Get, Set, Probe, Probe | Get, Probe | Set, 0u })
        {
            foreach (uint index in new uint[] { 1, 2, 9 })
            {
                Assert.Equal(Errno.ENOTTY, Run(file, index | operation, 8).Error);
            }

            Assert.Equal(Errno.EINVAL, Run(file, 12 | operation, 0).Error);
        }
    }

    [Fact]
    public async Task Case108_migration_flags()
    {
        await using CoreFixture f = new();
        VfioDeviceFile file = Open(f, new TestMigration(3));
        Assert.Equal(Errno.EINVAL, Run(file, 1 | Get, 8, argsz: 15).Error);
        Assert.Equal(Errno.None, Run(file, 1 | Get, 8, out byte[] data, argsz: 16).Error);
        Assert.Equal(3ul, BinaryPrimitives.ReadUInt64LittleEndian(data));
    }

    [Fact]
    public async Task Case109_unknown_feature_of_a_device_without_the_op()
    {
        await using CoreFixture f = new();
        _ = f.Host.RegisterEmulatedIommuDevice(f.Host.Allocate(static () => new PlainDevice()), "plain");
        VfioDeviceFile file = f.OpenBound("plain");
        foreach (uint operation in new[] { Get, Set, Probe, Probe | Get, 0u })
        {
            Assert.Equal(Errno.ENOTTY, Run(file, 77 | operation, 8).Error);
        }

        Assert.Equal(Errno.ENOTTY, Run(file, VfioUapi.VFIO_DEVICE_FEATURE_PCI_VF_TOKEN | Set, 16).Error);
    }

    [Fact]
    public async Task Case110_other_features_reach_the_device()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        VfioDeviceFile file = f.OpenBound();
        Assert.Equal(Errno.None, Run(file, 0x2A | Set, 16).Error);
        Assert.Equal((0x2002Au, 16ul), device.LastFeature);
    }

    [Fact]
    public async Task Case111_112_precopy_opt_in_ends_with_the_last_close()
    {
        await using CoreFixture f = new();
        VfioDeviceFile file = Open(f, new TestMigration(1));
        Assert.Equal(Errno.EINVAL, Run(file, 12 | Probe | Set, 0).Error);
        await using CoreFixture g = new();
        file = Open(g, new TestMigration(5));
        Assert.Equal(Errno.None, Run(file, 12 | Probe | Set, 0).Error);
        Assert.Equal(Errno.None, Run(file, 12 | Set, 0).Error);
        Assert.True(file.Device.PrecopyInfoV2);
        file.Dispose();
        Assert.False(file.Device.PrecopyInfoV2);
    }

    [Theory]
    [InlineData(0, Errno.EINVAL)]
    [InlineData(257, Errno.E2BIG)]
    [InlineData(256, Errno.None)]
    public async Task Case113_number_of_ranges(int count, Errno expected)
    {
        await using CoreFixture f = new();
        TestLog log = new();
        VfioDeviceFile file = Open(f, null, log);
        (ulong, ulong)[] ranges = [.. Enumerable.Range(0, count).Select(i => ((ulong)i * 0x2000, 0x1000ul))];
        Assert.Equal(expected, Start(file, 0x1000, ranges, out _).Error);
        Assert.Equal(expected == Errno.None ? 256 : 0, log.Started.Count);
    }

    [Fact]
    public async Task Case114_115_116_bad_ranges()
    {
        await using CoreFixture f = new();
        TestLog log = new();
        VfioDeviceFile file = Open(f, null, log);
        Assert.Equal(Errno.EINVAL, Start(file, 0x1000, [(0x800, 0x1000)], out _).Error);
        Assert.Equal(Errno.EINVAL, Start(file, 0x1000, [(0, 0x2000), (0x1000, 0x1000)], out _).Error);
        Assert.Equal(Errno.EOVERFLOW, Start(file, 0x1000, [(0xFFFFFFFFFFFFF000, 0x1000)], out _).Error);
        Assert.Empty(log.Started);
    }

    [Fact]
    public async Task Case117_device_chooses_the_page_size()
    {
        await using CoreFixture f = new();
        VfioDeviceFile file = Open(f, null, new TestLog { Choose = 0x200000 });
        Assert.Equal(Errno.None, Start(file, 0x1000, [(0, 0x1000)], out TestUserMemory memory).Error);
        Assert.Equal(0x200000ul, BinaryPrimitives.ReadUInt64LittleEndian(memory.Bytes.AsSpan(8)));
    }

    [Fact]
    public void Case122_ranges_are_combined_across_the_smallest_gaps()
    {
        IovaRange[] ranges = [Range(0, 0xF), Range(0x20, 0x2F), Range(0x100, 0x1FF)];
        Assert.Equal(ranges, DirtyLogRanges.Combine(ranges, 3));
        Assert.Equal([Range(0, 0x2F), Range(0x100, 0x1FF)], DirtyLogRanges.Combine(ranges, 2));
        Assert.Equal([Range(0, 0x1FF)], DirtyLogRanges.Combine(ranges, 1));

        // Of equal gaps the lower one is closed.
        ranges = [Range(0, 0xF), Range(0x20, 0x2F), Range(0x40, 0x4F)];
        Assert.Equal([Range(0, 0x2F), Range(0x40, 0x4F)], DirtyLogRanges.Combine(ranges, 2));
        Assert.Empty(DirtyLogRanges.Combine([], 1));
        Assert.Throws<ArgumentOutOfRangeException>(static () => DirtyLogRanges.Combine([], 0));

        static IovaRange Range(ulong start, ulong last)
        {
            Assert.True(IovaRange.TryCreateInclusive(start, last, out IovaRange range));
            return range;
        }
    }

    [Fact]
    public async Task Case118_unwritable_reply_stops_the_log()
    {
        await using CoreFixture f = new();
        TestLog log = new();
        VfioDeviceFile file = Open(f, null, log);
        Assert.Equal(Errno.EFAULT, Start(file, 0x1000, [(0, 0x1000)], out _, writable: 8).Error);
        Assert.Equal(1, log.Stops);
    }

    [Theory]
    [InlineData(0x800ul, Errno.EINVAL)]
    [InlineData(0x3000ul, Errno.EINVAL)]
    [InlineData(0x1000ul, Errno.None)]
    [InlineData(0x2000ul, Errno.None)]
    [InlineData(0x20_0000ul, Errno.None)]
    public async Task Case119_report_page_sizes(ulong pageSize, Errno expected)
    {
        await using CoreFixture f = new();
        TestLog log = new();
        Assert.Equal(expected, Report(Open(f, null, log), pageSize, 0, out byte bitmap).Error);
        Assert.Equal(expected == Errno.None ? 1 : 0, log.Reports);
        Assert.Equal(expected == Errno.None ? 1 : 0, bitmap);
    }

    [Fact]
    public async Task Case120_report_sets_bits_and_clears_none()
    {
        await using CoreFixture f = new();
        Assert.Equal(Errno.None, Report(Open(f, null, new TestLog()), 0x1000, 0x20, out byte bitmap).Error);
        Assert.Equal(0x21, bitmap);
    }

    [Fact]
    public async Task Case121_probe_of_an_unsupported_operation()
    {
        await using CoreFixture f = new();
        Assert.Equal(Errno.EINVAL, Run(Open(f, null, new TestLog()), LogStart | Probe | Get, 24).Error);
    }

    [Fact]
    public async Task Dirty_log_is_the_devices_to_judge_and_sorts_what_the_user_gave()
    {
        await using CoreFixture f = new();
        TestLog log = new();
        VfioDeviceFile file = Open(f, null, log);
        Assert.Equal(Errno.None, Start(file, 0x1000, [(0x8000, 0x1000), (0, 0x2000)], out _).Error);
        Assert.Equal([0ul, 0x8000ul], log.Started.Select(static range => range.Start));
        Assert.Equal([0x1FFFul, 0x8FFFul], log.Started.Select(static range => range.Last));
        Assert.Equal(Errno.None, Start(file, 0x1000, [(0, 0x1000)], out _).Error);
        Assert.Equal(Errno.None, Run(file, VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | Set, 0).Error);
        Assert.Equal(Errno.None, Run(file, VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | Set, 0).Error);
        Assert.Equal(2, log.Stops);
        Assert.Equal(Errno.EINVAL, Run(file, VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | Get, 0).Error);
        Assert.Equal(Errno.EFAULT, Start(file, 0x1000, [(0, 0x1000)], out _, list: 0xdead_0000).Error);
        Assert.Equal(Errno.EOVERFLOW, Report(file, 0x1000, 0, out _, iova: 0xFFFF_FFFF_FFFF_F000).Error);
    }

    [Fact]
    public async Task State_set_hands_out_the_data_file_and_tells_EMFILE()
    {
        await using CoreFixture f = new();
        VfioDeviceFile file = Open(f, new TestMigration());
        TestFileTable files = new();
        byte[] request = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(request, 16);
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(4), 2 | Set);
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(8), (uint)MigrationState.StopCopy);
        Assert.Equal(Errno.None, file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(request, files)).Error);
        Assert.Equal(100, BinaryPrimitives.ReadInt32LittleEndian(request.AsSpan(12)));
        Assert.IsAssignableFrom<MigrationDataFile>(files.Files[100]);
        Assert.Equal(Errno.None, file.GetMigrationState(out MigrationState state));
        Assert.Equal(MigrationState.StopCopy, state);

        Assert.Equal(Errno.None, file.SetMigrationState(MigrationState.Stop, out MigrationDataFile? none));
        Assert.Null(none);
        files.IsFull = true;
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(8), (uint)MigrationState.StopCopy);
        Assert.Equal(Errno.EMFILE, file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(request, files)).Error);
    }

    [Fact]
    public async Task Last_close_returns_to_running()
    {
        await using CoreFixture f = new();
        TestMigration migration = new();
        VfioDeviceFile file = Open(f, migration);
        Assert.Equal(Errno.None, file.SetMigrationState(MigrationState.StopCopy, out _));
        file.Dispose();
        Assert.Equal(Errno.None, migration.GetState(out MigrationState state));
        Assert.Equal(MigrationState.Running, state);
    }

    [Fact]
    public void DirtyBitmap_sets_whole_and_partial_words()
    {
        Assert.True(IovaRange.TryCreate(0x10000, 200 * 0x1000, out IovaRange range));
        Assert.Equal(Errno.EINVAL, DirtyBitmap.TryCreate(range, 3, 1024, out _));
        Assert.Equal(Errno.E2BIG, DirtyBitmap.TryCreate(range, 0x1000, 16, out _));
        Assert.Equal(Errno.None, DirtyBitmap.TryCreate(range, 0x1000, 1024, out DirtyBitmap? bitmap));
        Assert.True(IovaRange.TryCreate(0x10000 + (60 * 0x1000) + 5, 70 * 0x1000, out IovaRange dirty));
        bitmap!.Set(dirty);
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(i is >= 60 and <= 130, (bitmap.Words[i / 64] >> (i % 64) & 1) != 0);
        }

        Assert.True(IovaRange.TryCreateInclusive(0, ulong.MaxValue, out IovaRange all));
        Assert.Equal(Errno.E2BIG, DirtyBitmap.TryCreate(all, 1, ulong.MaxValue, out _));
    }

    private static VfioDeviceFile Open(CoreFixture f, IVfioMigration? migration, IVfioDirtyLog? log = null)
    {
        _ = f.Add(create: () => new RecordingDevice { MigrationOperations = migration, LogOperations = log });
        return f.OpenBound();
    }

    private static IoResult Run(VfioDeviceFile file, uint flags, int data, int? argsz = null) => Run(file, flags, data, out _, argsz);

    private static IoResult Run(VfioDeviceFile file, uint flags, int dataSize, out byte[] data, int? argsz = null)
    {
        byte[] bytes = new byte[8 + dataSize];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)(argsz ?? bytes.Length));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags);
        IoResult result = file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(bytes));
        data = bytes[8..];
        return result;
    }

    private static IoResult Start(VfioDeviceFile file, ulong pageSize, (ulong Iova, ulong Length)[] ranges, out TestUserMemory memory, int writable = int.MaxValue, ulong list = TestUserMemory.Base + 64)
    {
        memory = new TestUserMemory(64 + (16 * ranges.Length), writable);
        Span<byte> bytes = memory.Bytes;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, 32);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], LogStart | Set);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], pageSize);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[16..], (uint)ranges.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], list);
        for (int i = 0; i < ranges.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[(64 + (16 * i))..], ranges[i].Iova);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[(72 + (16 * i))..], ranges[i].Length);
        }

        return file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(memory, TestUserMemory.Base));
    }

    private static IoResult Report(VfioDeviceFile file, ulong pageSize, byte preset, out byte bitmap, ulong iova = 0)
    {
        TestUserMemory memory = new(128);
        Span<byte> bytes = memory.Bytes;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, 40);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], LogReport | Get);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], iova);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], 8 * 0x1000);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], pageSize);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[32..], TestUserMemory.Base + 64);
        bytes[64] = preset;
        IoResult result = file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(memory, TestUserMemory.Base));
        bitmap = memory.Bytes[64];
        return result;
    }

    private sealed class TestMigration : SteppedMigration
    {
        private readonly MigrationFlags _flags;

        public TestMigration(ulong flags = 7)
        {
            _flags = (MigrationFlags)flags;
        }

        public override MigrationFlags Flags => _flags;

        public override Errno GetDataSize(out ulong length)
        {
            length = 42;
            return Errno.None;
        }

        protected override Errno Step(MigrationState current, MigrationState next, out MigrationDataFile? file)
        {
            file = next == MigrationState.StopCopy ? new EmptyFile() : null;
            return Errno.None;
        }
    }

    private sealed class EmptyFile : MigrationDataFile
    {
        protected override IoResult OnRead(Span<byte> buffer) => IoResult.Success();
    }

    private sealed class TestLog : IVfioDirtyLog
    {
        public List<IovaRange> Started { get; } = [];

        public int Stops { get; private set; }

        public int Reports { get; private set; }

        public ulong Choose { get; init; }

        public Errno Start(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize)
        {
            Started.AddRange(ranges);
            pageSize = Choose == 0 ? pageSize : Choose;
            return Errno.None;
        }

        public Errno Stop()
        {
            Stops++;
            return Errno.None;
        }

        public Errno ReadAndClear(IovaRange range, DirtyBitmap bitmap)
        {
            Reports++;
            Assert.True(IovaRange.TryCreate(range.Start, 1, out IovaRange first));
            bitmap.Set(first);
            return Errno.None;
        }
    }
}
