using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdCaller;

namespace Vfio.Iommu.Tests;

/// <summary>The operations of the kernel's selftests, given as bytes at the places where those have them (spec iommufd §7.10).</summary>
public sealed class TestCommandTests : IClassFixture<DescriptorLeakFixture>
{
    private const ulong Base = MockIommu.Base;

    [Fact]
    public void Structure_is_versioned_and_operations_are_known()
    {
        using Rig rig = new();
        Assert.Equal(Errno.EINVAL, rig.Caller.CallRaw(IommufdTestCommands.Command, 67));
        Assert.Equal(Errno.E2BIG, rig.Caller.CallRaw(IommufdTestCommands.Command, 73, 1, 72));
        Assert.Equal(Errno.EOPNOTSUPP, rig.Run(0, 0));
        Assert.Equal(Errno.EOPNOTSUPP, rig.Run(24, 0));
        Assert.Equal(Errno.ENOTTY, rig.Caller.CallRaw(IommufdTestCommands.Command + 1, 72));
        using IommufdCaller without = new();
        Assert.Equal(Errno.ENOTTY, without.CallRaw(IommufdTestCommands.Command, 72));
    }

    [Fact]
    public void Reserved_addresses_stay_with_the_address_space()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.EINVAL, rig.Run(1, ioas, (16, 0x1000ul), (24, 0ul)));
        Assert.Equal(Errno.EOVERFLOW, rig.Run(1, ioas, (16, ulong.MaxValue), (24, 2ul)));
        Assert.Equal(Errno.ENOENT, rig.Run(1, 99, (16, P), (24, P)));
        Assert.Equal(Errno.None, rig.Run(1, ioas, (16, P), (24, P)));
        Assert.Equal(Errno.EINVAL, rig.Caller.Map(ioas, P, P));
        Assert.Equal(Errno.None, rig.Caller.Map(ioas, 2 * P, P));
        Assert.Equal(Errno.EADDRINUSE, rig.Run(1, ioas, (16, 2 * P), (24, 1ul)));
    }

    [Fact]
    public void Devices_take_their_ids_in_order_and_go_with_their_mock()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Run(2, ioas));
        Assert.Equal((2u, 4u, 3u), (rig.Word(16), rig.Word(20), rig.Word(24)));
        Assert.Equal(Errno.EBUSY, rig.Caller.Destroy(3));
        Assert.Equal(Errno.EBUSY, rig.Caller.Destroy(ioas));
        Assert.Equal(Errno.None, rig.Caller.Destroy(2));
        Assert.Equal(Errno.None, rig.Caller.Destroy(ioas));
        Assert.Equal(0, rig.Caller.Context.ObjectCount);

        Assert.Equal(Errno.ENOENT, rig.Run(2, 99));
        Assert.Equal(Errno.EINVAL, rig.Run(12, 99, (28, 2u)));
        Assert.Equal(0, rig.Caller.Context.ObjectCount);
    }

    [Fact]
    public void Flags_make_devices_without_dirty_tracking_and_with_pasids()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Run(12, ioas, (28, 1u)));
        Assert.Equal(Errno.EOPNOTSUPP, rig.Caller.PageTable(rig.Word(24), ioas, out _, IommufdUapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING));
        Assert.Equal(Errno.None, rig.Run(12, ioas, (28, 4u)));
        (uint mock, uint device) = (rig.Word(16), rig.Word(24));
        Assert.Equal(Errno.None, rig.Caller.PageTable(device, ioas, out uint table, IommufdUapi.IOMMU_HWPT_ALLOC_PASID));
        Assert.Equal(Errno.EINVAL, rig.Run(18, mock, (16, 7u), (20, table))); // What it is attached to without a PASID has no PASIDs.
        Assert.Equal(Errno.None, rig.Run(10, mock, (16, table)));
        Assert.Equal(table, rig.Word(16));
        Assert.Equal(Errno.None, rig.Run(21, mock, (16, 7u), (20, 0u)));
        Assert.Equal(Errno.None, rig.Run(18, mock, (16, 7u), (20, table)));
        Assert.Equal(Errno.None, rig.Run(21, mock, (16, 7u), (20, table)));
        Assert.Equal(Errno.EINVAL, rig.Run(21, mock, (16, 7u), (20, 0u)));
        Assert.Equal(Errno.EBUSY, rig.Run(18, mock, (16, 7u), (20, table)));
        Assert.Equal(Errno.None, rig.Run(19, mock, (16, 7u), (20, table)));
        Assert.Equal(Errno.EINVAL, rig.Run(19, mock, (16, 8u), (20, table)));
        Assert.Equal(Errno.None, rig.Run(20, mock, (16, 7u)));
        Assert.Equal(Errno.None, rig.Run(20, mock, (16, 7u)));
        Assert.Equal(Errno.None, rig.Run(21, mock, (16, 7u), (20, 0u)));
        Assert.Equal(Errno.None, rig.Run(18, mock, (16, 9u), (20, table))); // Left for the mock's end.
        Assert.Equal(Errno.None, rig.Caller.Destroy(mock));
        Assert.Equal(Errno.None, rig.Caller.Destroy(table));
    }

    [Fact]
    public void Translations_are_compared_with_the_callers_memory()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Run(2, ioas));
        uint table = rig.Word(20);
        Assert.Equal(Errno.None, rig.Caller.Map(ioas, Base, 4 * P, va: B + (2 * P)));
        Assert.Equal(Errno.None, rig.CheckMap(table, Base, 4 * P, B + (2 * P)));
        Assert.Equal(Errno.None, rig.CheckMap(table, Base + 2048, 2048, B + (2 * P) + 2048));
        Assert.Equal(Errno.EINVAL, rig.CheckMap(table, Base, P, B + (3 * P)));
        Assert.Equal(Errno.EINVAL, rig.CheckMap(table, Base, 2048, B + (2 * P) + 2048));
        Assert.Equal(Errno.EINVAL, rig.CheckMap(table, Base, 5 * P, B + (2 * P)));
        Assert.Equal(Errno.EINVAL, rig.CheckMap(table, Base, 100, B + (2 * P)));
        Assert.Equal(Errno.EFAULT, rig.CheckMap(table, Base, P, 0x1000));
        Assert.Equal(Errno.ENOENT, rig.CheckMap(99, Base, P, B));
        Assert.Equal(Errno.ENOENT, rig.CheckMap(ioas, Base, P, B));
        Assert.Equal(Errno.None, rig.Caller.Unmap(ioas, Base, 4 * P));
        Assert.Equal(Errno.EINVAL, rig.CheckMap(table, Base, P, B + (2 * P)));
    }

    [Fact]
    public void Pins_are_counted_across_contexts()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Caller.Map(ioas, Base, 2 * P));
        Assert.Equal(Errno.None, rig.CheckPins(B, 16 * P, 0));
        Assert.Equal(Errno.None, rig.Run(2, ioas));
        uint mock = rig.Word(16);
        Assert.Equal(Errno.None, rig.CheckPins(B, 2 * P, 1));
        Assert.Equal(Errno.None, rig.CheckPins(B + (2 * P), 14 * P, 0));
        Assert.Equal(Errno.EIO, rig.CheckPins(B, 3 * P, 1));
        Assert.Equal(Errno.EINVAL, rig.CheckPins(B + 1, P, 1));
        Assert.Equal(Errno.EINVAL, rig.CheckPins(B, 100, 1));

        // A second map of the same pages pins them once more; a copy of the first does not.
        Assert.Equal(Errno.None, rig.Caller.Map(ioas, Base + (8 * P), P));
        uint other = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Caller.Copy(other, Base, ioas, Base, 2 * P));
        Assert.Equal(Errno.None, rig.Run(2, other));
        Assert.Equal(Errno.None, rig.CheckPins(B, P, 2));
        Assert.Equal(Errno.None, rig.CheckPins(B + P, P, 1));
        Assert.Equal(Errno.None, rig.Caller.Destroy(mock));
        Assert.Equal(Errno.None, rig.CheckPins(B, 2 * P, 1));
        using IommufdContext second = new() { Extension = rig.Commands };
        Assert.Equal(Errno.None, rig.CheckPins(B, 2 * P, 1, second));
    }

    [Fact]
    public void Accesses_pin_pages_until_they_are_unmapped()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.EOPNOTSUPP, rig.Run(5, ioas, (20, 2u)));
        Assert.Equal(Errno.ENOENT, rig.Run(5, 99, (20, 1u)));
        Assert.Equal(Errno.None, rig.Run(5, ioas, (20, 1u)));
        uint access = rig.Word(16);
        Assert.Equal(Errno.None, rig.Caller.Map(ioas, Base, 4 * P));
        Assert.Equal(Errno.EOPNOTSUPP, rig.Pin(access, Base, P, B, flags: 2));
        Assert.Equal(Errno.ENOMEM, rig.Pin(access, Base, (16 << 20) + 1, 0));
        Assert.Equal(Errno.EBADFD, rig.Pin(5000, Base, P, B));
        Assert.Equal(Errno.EBADE, rig.Pin(access, Base, 2 * P, B + P));
        Assert.Equal(Errno.ENOENT, rig.Pin(access, Base + (3 * P), 2 * P, 0));
        Assert.Equal(Errno.None, rig.Pin(access, Base, 2 * P, B));
        Assert.Equal(0u, rig.Word(20));
        Assert.Equal(Errno.None, rig.Pin(access, Base + P + 10, P, B + P + 10, flags: 1));
        Assert.Equal(1u, rig.Word(20));
        Assert.Equal(Errno.None, rig.CheckPins(B, 3 * P, 1));
        Assert.Equal(Errno.None, rig.Run(6, access, (16, 0u)));
        Assert.Equal(Errno.ENOENT, rig.Run(6, access, (16, 0u)));
        Assert.Equal(Errno.EBADFD, rig.Run(6, 5000, (16, 1u)));
        Assert.Equal(Errno.None, rig.CheckPins(B, P, 0));
        Assert.Equal(Errno.None, rig.CheckPins(B + P, 2 * P, 1));
        Assert.Equal(Errno.None, rig.Caller.Unmap(ioas, Base, 4 * P));
        Assert.Equal(Errno.ENOENT, rig.Run(6, access, (16, 1u)));
        Assert.Equal(Errno.None, rig.CheckPins(B, 16 * P, 0));

        // Closing the file gives back what is still pinned, and ends the access.
        Assert.Equal(Errno.None, rig.Caller.Map(ioas, Base, P));
        Assert.Equal(Errno.None, rig.Pin(access, Base, P, 0));
        Assert.Equal(Errno.EBUSY, rig.Caller.Destroy(ioas));
        rig.Close(access);
        Assert.Equal(Errno.None, rig.CheckPins(B, P, 0));
        Assert.Equal(Errno.None, rig.Caller.Destroy(ioas));
        Assert.Equal(0, rig.Caller.Context.ObjectCount);
    }

    [Fact]
    public void Accesses_copy_and_move_between_address_spaces()
    {
        using Rig rig = new();
        uint first = rig.Caller.Alloc();
        uint second = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Run(5, first));
        uint access = rig.Word(16);
        Assert.Equal(Errno.EOPNOTSUPP, rig.Pin(access, Base, P, B)); // It does not pin.
        Assert.Equal(Errno.None, rig.Caller.Map(first, Base, P));
        Assert.Equal(Errno.None, rig.Caller.Map(second, Base, P, va: B + P));
        rig.Caller.Memory.Buffer[5] = 0x11;
        rig.Caller.Memory.Buffer[(int)P + 5] = 0x22;
        Assert.Equal(Errno.None, rig.Copy(access, Base + 5, 1, B + (4 * P)));
        Assert.Equal(0x11, rig.Caller.Memory.Buffer[4 * (int)P]);
        Assert.Equal(Errno.None, rig.Run(11, access, (16, second)));
        Assert.Equal(Errno.None, rig.Copy(access, Base + 5, 1, B + (4 * P), flags: 4));
        Assert.Equal(0x22, rig.Caller.Memory.Buffer[4 * (int)P]);
        Assert.Equal(Errno.None, rig.Copy(access, Base + 9, 1, B + (4 * P), flags: 1));
        Assert.Equal(0x22, rig.Caller.Memory.Buffer[(int)P + 9]);
        Assert.Equal(Errno.ENOENT, rig.Copy(access, Base + P, 1, B));
        Assert.Equal(Errno.EFAULT, rig.Copy(access, Base, 1, 0x10));
        Assert.Equal(Errno.EFAULT, rig.Copy(access, Base, 1, 0x10, flags: 1));
        Assert.Equal(Errno.ENOMEM, rig.Copy(access, Base, (16 << 20) + 1, B));
        Assert.Equal(Errno.ENOENT, rig.Run(11, access, (16, 99u)));
        Assert.Equal(Errno.EBADFD, rig.Run(11, 5000, (16, second)));
        rig.Close(access);
    }

    [Fact]
    public void Memory_limit_is_checked_and_has_no_effect()
    {
        using Rig rig = new();
        Assert.Equal(Errno.EINVAL, rig.Run(9, 0, (16, 11u)));
        Assert.Equal(Errno.None, rig.Run(9, 0, (16, 12u)));
        Assert.Equal(Errno.None, rig.Run(9, 0, (16, 65536u)));
    }

    [Fact]
    public void Pages_are_marked_as_written_by_a_device()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Run(2, ioas));
        (uint mock, uint device) = (rig.Word(16), rig.Word(24));
        Assert.Equal(Errno.None, rig.Caller.PageTable(device, ioas, out uint table, IommufdUapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING));
        Assert.Equal(Errno.None, rig.Caller.Map(ioas, Base, 8 * P));
        rig.Caller.Memory.Buffer[12 * (int)P] = 0b1001_0101;
        Assert.Equal(Errno.EINVAL, rig.MarkDirty(table, Base, 8 * P, P));
        PagingHardwarePageTable paging = rig.Caller.Get<PagingHardwarePageTable>(table);
        Assert.Equal(Errno.None, paging.SetDirtyTracking(true));
        Assert.Equal(Errno.EINVAL, rig.MarkDirty(table, Base, 8 * P, 0));
        Assert.Equal(Errno.EINVAL, rig.MarkDirty(table, Base, 0, P));
        Assert.Equal(Errno.EINVAL, rig.MarkDirty(table, Base + 1, 8 * P, P));
        Assert.Equal(Errno.EINVAL, rig.MarkDirty(table, Base, 8 * P, P, address: 0));
        Assert.Equal(Errno.EFAULT, rig.MarkDirty(table, Base, 8 * P, P, address: 1));
        Assert.Equal(Errno.None, rig.MarkDirty(table, Base, 8 * 2048, 2048));
        Assert.Equal(4ul, rig.Long(56));
        Assert.NotEmpty(Written(paging, clear: true));
        Assert.Empty(Written(paging, clear: true));
        Assert.Equal(Errno.None, rig.Caller.Destroy(table));
        Assert.Equal(Errno.None, rig.Caller.Destroy(mock));
    }

    [Fact]
    public void Page_tables_with_large_pages_are_made_by_request()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Run(2, ioas));
        uint device = rig.Word(24);
        Assert.Equal(Errno.None, rig.FormattedPageTable(device, ioas, 1, out uint huge));
        Assert.Equal(((1ul << 20) | 4096, 0ul), (rig.Domain(huge).PageSizes, rig.Domain(huge).Aperture.Start));
        Assert.Equal(Errno.None, rig.FormattedPageTable(device, ioas, 0, out uint plain));
        Assert.Equal(Base, rig.Domain(plain).Aperture.Start);
        Assert.Equal(Errno.EOPNOTSUPP, rig.FormattedPageTable(device, ioas, 2, out _));
    }

    [Fact]
    public void Caches_are_compared()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Run(2, ioas));
        uint device = rig.Word(24);
        Assert.Equal(Errno.None, rig.Run(16, device, (16, 3u), (20, 0xbaddadu)));
        Assert.Equal(Errno.EINVAL, rig.Run(16, device, (16, 3u), (20, 0u)));
        Assert.Equal(Errno.EINVAL, rig.Run(16, device, (16, 4u), (20, 0xbaddadu)));
        Assert.Equal(Errno.ENOENT, rig.Run(16, ioas, (16, 0u), (20, 0xbaddadu)));
        Assert.Equal(Errno.None, rig.Caller.PageTable(device, ioas, out uint parent, IommufdUapi.IOMMU_HWPT_ALLOC_NEST_PARENT));
        Assert.Equal(Errno.None, rig.Caller.PageTable(device, parent, out uint nested, type: MockIommu.NestedType, data: 7));
        Assert.Equal(Errno.None, rig.Run(14, nested, (16, 0u), (20, 7u)));
        Assert.Equal(Errno.EINVAL, rig.Run(14, nested, (16, 0u), (20, 8u)));
        Assert.Equal(Errno.EINVAL, rig.Run(14, parent, (16, 0u), (20, 7u)));
        Assert.Equal(Errno.ENOENT, rig.Run(14, 99, (16, 0u), (20, 7u)));
    }

    [Fact]
    public void Faults_and_events_reach_their_queues()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.None, rig.Run(2, ioas));
        (uint mock, uint device) = (rig.Word(16), rig.Word(24));
        Assert.Equal(Errno.None, rig.Fault(device));  // Nobody handles it.
        Assert.Equal(Errno.ENOENT, rig.Fault(99));
        Assert.Equal(Errno.ENOENT, rig.Run(17, 0, (16, device)));
        iommu_fault_alloc queue = default;
        Assert.Equal(Errno.None, rig.Caller.Call(IommufdUapi.IOMMU_FAULT_QUEUE_ALLOC, ref queue));
        Assert.Equal(Errno.None, rig.Caller.PageTable(device, ioas, out uint parent, IommufdUapi.IOMMU_HWPT_ALLOC_NEST_PARENT));
        Assert.Equal(
            Errno.None,
            rig.Caller.PageTable(device, parent, out uint nested, IommufdUapi.IOMMU_HWPT_FAULT_ID_VALID, MockIommu.NestedType, 7, fault: queue.out_fault_id));
        Assert.Equal(Errno.None, rig.Run(10, mock, (16, nested)));
        Assert.Equal(Errno.None, rig.Fault(device));
        byte[] record = new byte[40];
        Assert.Equal(40, ((VfioFile)rig.Caller.Files.Files[(int)queue.out_fault_fd]).Read(record, 0).Value);
        Assert.Equal(device, BinaryPrimitives.ReadUInt32LittleEndian(record.AsSpan(4)));
        Assert.Equal(0xABCD000ul, BinaryPrimitives.ReadUInt64LittleEndian(record.AsSpan(24)));
        Assert.Equal(Errno.None, rig.Caller.Destroy(mock)); // Takes the fault back.
    }

    [Fact]
    public void Buffers_of_devices_are_mapped_and_revoked()
    {
        using Rig rig = new();
        uint ioas = rig.Caller.Alloc();
        Assert.Equal(Errno.EINVAL, rig.Run(22, 0, (16, 0u)));
        Assert.Equal(Errno.EINVAL, rig.Run(22, 0, (16, (2u << 20) + 1)));
        int descriptor = (int)rig.RunForValue(22, (16, (uint)P + 1));
        Assert.True(descriptor > 0);
        Assert.Equal(Errno.EINVAL, rig.Caller.MapFile(ioas, descriptor, 0, 3 * P, Base));
        Assert.Equal(Errno.None, rig.Caller.MapFile(ioas, descriptor, 0, 2 * P, Base));
        Assert.Equal(Errno.None, rig.Run(23, 0, (16, (uint)descriptor), (20, 1u)));
        Assert.Equal(Errno.ENODEV, rig.Caller.MapFile(ioas, descriptor, 0, P, Base + (4 * P)));
        Assert.Equal(Errno.None, rig.Run(23, 0, (16, (uint)descriptor), (20, 0u)));
        Assert.Equal(Errno.None, rig.Caller.MapFile(ioas, descriptor, 0, P, Base + (4 * P)));
        Assert.Equal(Errno.EBADF, rig.Run(23, 0, (16, 77u), (20, 1u)));
        Assert.Equal(Errno.None, rig.Run(5, ioas));
        Assert.Equal(Errno.EINVAL, rig.Run(23, 0, (16, rig.Word(16)), (20, 1u)));
    }

    [Fact]
    public void Pages_of_a_process_are_known_by_their_file_where_they_are_shared()
    {
        using MemFd file = new("frames", 4 * P);
        Assert.Equal(Errno.None, MemoryMapping.TryMap(file.Descriptor, 0, (nuint)(4 * P), MemoryProtection.ReadWrite, out MemoryMapping? one));
        Assert.Equal(Errno.None, MemoryMapping.TryMap(file.Descriptor, P, (nuint)(2 * P), MemoryProtection.ReadWrite, out MemoryMapping? two));
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous((nuint)(2 * P), MemoryProtection.ReadWrite, out MemoryMapping? own));
        using (one)
        using (two)
        using (own)
        {
            ProcessUserMemory memory = new();
            using FrameFinder frames = new();
            Assert.Equal(Frame(frames, memory, one!, P), Frame(frames, memory, two!, 0));
            Assert.NotEqual(Frame(frames, memory, one!, 0), Frame(frames, memory, two!, 0));
            Assert.NotEqual(Frame(frames, memory, own!, 0), Frame(frames, memory, own!, P));
            Assert.Equal(Frame(frames, memory, own!, 0), Frame(frames, memory, own!, 100));

            Assert.Equal(Errno.None, file.Descriptor.TryDuplicate(out FileDescriptor? duplicate));
            DescriptorMemorySource source = new(duplicate!, P, 2 * P, writable: true);
            Assert.Equal(Errno.None, frames.TryFind(source, 0, out MemoryFrame ofFile));
            Assert.Equal(ofFile, Frame(frames, memory, one!, P));
            source.RemoveReference();
            Assert.Equal(Errno.EFAULT, frames.TryFind(memory, 0x10, out _));
        }
    }

    private static unsafe MemoryFrame Frame(FrameFinder frames, ProcessUserMemory memory, MemoryMapping mapping, ulong offset)
    {
        Assert.Equal(Errno.None, frames.TryFind(memory, (ulong)mapping.Pointer + offset, out MemoryFrame frame));
        return frame;
    }

    private static List<IovaRange> Written(PagingHardwarePageTable table, bool clear)
    {
        List<IovaRange> written = [];
        Assert.True(IovaRange.TryCreate(Base, 8 * P, out IovaRange range));
        Assert.Equal(Errno.None, table.ReadDirty(range, clear, written.Add));
        return written;
    }

    /// <summary>A caller that has the operations.</summary>
    private sealed class Rig : IDisposable
    {
        private readonly byte[] _structure = new byte[72];

        public Rig()
        {
            Caller = new IommufdCaller(account: new ProcessMemoryAccount(new LockedMemoryAccount()), extension: Commands);
        }

        public IommufdTestCommands Commands { get; } = new();

        public IommufdCaller Caller { get; }

        public uint Word(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_structure.AsSpan(offset));

        public ulong Long(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(_structure.AsSpan(offset));

        public MockDomain Domain(uint id) => (MockDomain)Caller.Get<PagingHardwarePageTable>(id).PagingDomain;

        public Errno Run(uint operation, uint id, params (int Offset, object Value)[] fields) => Execute(Caller.Context, operation, id, fields).Error;

        public long RunForValue(uint operation, params (int Offset, object Value)[] fields) => Execute(Caller.Context, operation, 0, fields).Value;

        public Errno CheckMap(uint table, ulong iova, ulong length, ulong address) => Run(3, table, (16, iova), (24, length), (32, address));

        public Errno CheckPins(ulong address, ulong length, uint pins, IommufdContext? context = null)
            => Execute(context ?? Caller.Context, 4, 0, [(16, length), (24, address), (32, pins)]).Error;

        public Errno Pin(uint access, ulong iova, ulong length, ulong address, uint flags = 0)
            => Run(7, access, (16, flags), (24, iova), (32, length), (40, address));

        public Errno Copy(uint access, ulong iova, ulong length, ulong address, uint flags = 0)
            => Run(8, access, (16, iova), (24, length), (32, address), (40, flags));

        public Errno MarkDirty(uint table, ulong iova, ulong length, ulong pageSize, ulong address = B + (12 * P))
            => Run(13, table, (24, iova), (32, length), (40, pageSize), (48, address));

        public Errno Fault(uint device) => Run(15, 0, (16, device), (24, 5u), (28, 1u), (32, 0xABCD000ul));

        public Errno FormattedPageTable(uint device, uint ioas, uint type, out uint id)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(Caller.Memory.Bytes.AsSpan(260), type);
            iommu_hwpt_alloc command = new() { dev_id = device, pt_id = ioas, data_type = MockIommu.NestedType, data_len = 8, data_uptr = ListAddress };
            Errno error = Caller.Call(IommufdUapi.IOMMU_HWPT_ALLOC, ref command);
            id = command.out_hwpt_id;
            return error;
        }

        public void Close(uint descriptor)
        {
            ((VfioFile)Caller.Files.Files[(int)descriptor]).Dispose();
            Caller.Files.Files.Remove((int)descriptor);
        }

        public void Dispose() => Caller.Dispose();

        private IoResult Execute(IommufdContext context, uint operation, uint id, (int Offset, object Value)[] fields)
        {
            Array.Clear(_structure);
            BinaryPrimitives.WriteInt32LittleEndian(_structure, 72);
            BinaryPrimitives.WriteUInt32LittleEndian(_structure.AsSpan(4), operation);
            BinaryPrimitives.WriteUInt32LittleEndian(_structure.AsSpan(8), id);
            foreach ((int offset, object value) in fields)
            {
                if (value is uint word)
                {
                    BinaryPrimitives.WriteUInt32LittleEndian(_structure.AsSpan(offset), word);
                }
                else
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(_structure.AsSpan(offset), (ulong)value);
                }
            }

            _structure.CopyTo(Caller.Memory.Bytes, 0);
            IoResult result = context.Ioctl(IommufdTestCommands.Command, new UserArgument(Caller.Memory, TestUserMemory.Base, Caller.Files));
            Caller.Memory.Bytes.AsSpan(0, 72).CopyTo(_structure);
            return result;
        }
    }
}
