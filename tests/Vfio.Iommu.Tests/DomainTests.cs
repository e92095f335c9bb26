using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>Address spaces that hardware shows: alignment, memory in place, domains that come and go (spec iommufd §1.7, §8.2–§8.5).</summary>
public sealed class DomainTests : IClassFixture<DescriptorLeakFixture>
{
    [Fact]
    public void Case028_029_a_device_narrows_the_ranges_while_it_is_attached()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        Assert.Equal(Errno.None, c.Ranges(ioas, 4, out uint count, out ulong alignment, out (ulong, ulong)[] ranges));
        Assert.Equal((1u, 2048ul, (Base, Last)), (count, alignment, ranges[0]));
        device.Detach();
        Assert.Equal(Errno.None, c.Ranges(ioas, 4, out count, out alignment, out ranges));
        Assert.Equal((1u, 1ul, (0ul, Max)), (count, alignment, ranges[0]));
    }

    [Fact]
    public void Case041_allowed_range_outside_the_aperture_refuses_the_device()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        Assert.Equal(Errno.None, c.Allow(ioas, (0, 0xffff)));
        IommufdDevice device = c.Bind();
        uint target = ioas;
        Assert.Equal(Errno.EADDRINUSE, device.Attach(ref target));
        Assert.Null(device.GetPageTable());
        Assert.Equal(2, c.Context.ObjectCount);
        Assert.Equal(Errno.None, c.Ranges(ioas, 4, out uint count, out ulong alignment, out _));
        Assert.Equal((1u, 1ul), (count, alignment));
        ulong iova = 0;
        Assert.Equal(Errno.None, c.Map(ioas, ref iova, P, ReadWrite));
        Assert.Equal(P, iova); // The list is still in force.
    }

    [Fact]
    public void Case058_memory_that_is_not_there_shows_when_a_device_comes()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        c.Memory.Protect(1, 1, MemoryProtection.None);
        Assert.Equal(Errno.None, c.Map(ioas, Base, 2 * P));
        IommufdDevice device = c.Bind();
        uint target = ioas;
        Assert.Equal(Errno.EFAULT, device.Attach(ref target));
        Assert.Null(device.GetPageTable());
        Assert.Equal(0, c.Memory.PinCount);
    }

    [Fact]
    public void Case059_060_061_a_map_that_fails_leaves_nothing()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        _ = c.Attach(ioas);
        c.Memory.Protect(1, 1, MemoryProtection.None);
        Assert.Equal(Errno.EFAULT, c.Map(ioas, Base, 2 * P));
        Assert.Equal(0, c.Memory.PinCount);
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        c.Memory.Protect(2, 1, MemoryProtection.Read);
        Assert.Equal(Errno.EFAULT, c.Map(ioas, Base + (4 * P), P, Fixed | ReadWrite, B + (2 * P)));
        Assert.Equal(Errno.None, c.Map(ioas, Base + (4 * P), P, Fixed | Readable, B + (2 * P)));
        Assert.Equal([1, 0, 1], c.Memory.Pins.Take(3));
    }

    [Fact]
    public void Case062_063_064_065_the_domains_page_is_the_unit()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        _ = c.Attach(ioas);
        ulong iova = 0;
        Assert.Equal(Errno.EINVAL, c.Map(ioas, ref iova, 1, ReadWrite));
        Assert.Equal(Errno.EINVAL, c.Map(ioas, Base + 1024, 2048));
        Assert.Equal(Errno.EINVAL, c.Map(ioas, Base, 2048, va: B + 1024));
        Assert.Equal(Errno.None, c.Map(ioas, Base + 2048, 2048, va: B + 2048));
        Assert.Equal(1, c.Memory.Pins[0]);
    }

    [Fact]
    public void Case067_084_each_map_pins_by_itself_and_unmap_lets_go()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        _ = c.Attach(ioas);
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        Assert.Equal(Errno.None, c.Map(ioas, Base + (8 * P), P));
        Assert.Equal(2, c.Memory.Pins[0]);
        Assert.Equal(Errno.None, c.Map(ioas, Base + (16 * P), 3 * P));
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, Max, out ulong unmapped));
        Assert.Equal(5 * P, unmapped);
        Assert.Equal(0, c.Memory.PinCount);
    }

    [Fact]
    public void Case071_a_file_that_is_no_memory_shows_when_a_device_comes()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        using EventFd file = new();
        c.Files.Files[5] = file.Descriptor;
        Assert.Equal(Errno.None, c.MapFile(ioas, 5, 0, P, Base));
        IommufdDevice device = c.Bind();
        uint target = ioas;
        Assert.Equal(Errno.EINVAL, device.Attach(ref target));
        c.Files.Files.Clear();
    }

    [Fact]
    public void Case072_073_a_file_must_be_as_long_as_the_map()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        using MemFd memory = new("test", 2 * P);
        c.Files.Files[5] = memory.Descriptor;
        Assert.Equal(Errno.EINVAL, c.MapFile(ioas, 5, 0, 3 * P, Base));
        Assert.Equal(Errno.None, c.MapFile(ioas, 5, 0, 2 * P, Base));
        Assert.Equal(3, memory.Descriptor.WriteAt([1, 2, 3], P).Count);
        byte[] read = new byte[3];
        Assert.Equal(Errno.None, device.Read(Base + P, read));
        Assert.Equal([1, 2, 3], read);
        c.Files.Files.Clear();
    }

    [Fact]
    public void Case096_a_copy_outlives_its_source_and_pins_once()
    {
        using IommufdCaller c = new();
        uint first = c.Alloc();
        uint second = c.Alloc();
        IommufdDevice device = c.Attach(second);
        Assert.Equal(Errno.None, c.Map(first, 0, P));
        Assert.Equal(Errno.None, c.Copy(second, Base, first, 0, P));
        Assert.Equal(1, c.Memory.Pins[0]);
        Assert.Equal(Errno.None, c.Copy(second, Base + P, first, 0, P));
        Assert.Equal(1, c.Memory.Pins[0]);
        Assert.Equal(Errno.None, c.Unmap(first, 0, P));
        Assert.Equal(Errno.None, device.Write(Base + 5, [7]));
        Assert.Equal(7, c.Memory.Buffer[5]);
        Assert.Equal(Errno.None, c.Unmap(second, Base, P));
        Assert.Equal(1, c.Memory.Pins[0]);
    }

    [Fact]
    public void Case098_a_copy_must_suit_the_destination()
    {
        using IommufdCaller c = new();
        uint first = c.Alloc();
        uint second = c.Alloc();
        _ = c.Attach(second);
        Assert.Equal(Errno.None, c.Map(first, 0, 3));
        ulong iova = 0;
        Assert.Equal(Errno.EINVAL, c.Copy(second, ref iova, first, 1, 2, ReadWrite));
    }

    [Fact]
    public void Dma_goes_where_the_page_table_says_and_faults_elsewhere()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        SimulatedDomain domain = ((MockDomain)device.GetPageTable()!.Domain).Simulated;
        List<IommuFault> faults = [];
        domain.Faulted += faults.Add;
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        Assert.Equal(Errno.None, c.Map(ioas, Base + P, P, Fixed | Readable, B + (8 * P)));
        byte[] data = [.. Enumerable.Range(0, 100).Select(static i => (byte)i)];
        Assert.Equal(Errno.None, device.Write(Base + 10, data));
        Assert.Equal(data, c.Memory.Buffer.Slice(10, 100).ToArray());
        c.Memory.Buffer[(8 * (int)P) + 1] = 9;
        byte[] across = new byte[4];
        Assert.Equal(Errno.None, device.Read(Base + P - 2, across));
        Assert.Equal([0, 0, 0, 9], across);
        Assert.Equal(Errno.EFAULT, device.Write(Base + P - 2, across));
        Assert.Equal(Errno.EFAULT, device.Read(Base + (2 * P), across));
        Assert.Equal([new IommuFault(Base + P, DmaAccess.Write), new IommuFault(Base + (2 * P), DmaAccess.Read)], faults);
        Assert.Equal(2, domain.FaultCount);
        Assert.Equal(Errno.None, device.TryOpenWindow(Base, 16, DmaAccess.Read, out DmaWindow window));
        Assert.Equal(c.Memory.Buffer[..16].ToArray(), window.Span.ToArray());
        window.Dispose();
        device.Detach();
        Assert.Equal(Errno.EFAULT, device.Read(Base, across));
        Assert.Equal(Errno.EINVAL, device.TryPin(Base, P, DmaAccess.Read, out _));
    }

    [Fact]
    public void Steady_dma_through_a_page_table_allocates_nothing()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        Assert.Equal(Errno.None, c.Map(ioas, Base, 4 * P));
        byte[] data = new byte[64];
        long bytes = AllocationMeter.Measure(() =>
        {
            _ = device.Write(Base + 100, data);
            _ = device.Read(Base + P - 10, data);
        });
        Assert.Equal(0, bytes);
    }

    [Fact]
    public void A_domain_that_refuses_a_map_leaves_the_others_without_it()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        IommufdDevice first = c.Attach(ioas);
        Assert.Equal(Errno.None, c.PageTable(c.Bind().Id, ioas, out uint second));
        ((MockDomain)c.Get<PagingHardwarePageTable>(second).Domain).FailNextMap = Errno.ENOMEM;
        Assert.Equal(Errno.ENOMEM, c.Map(ioas, Base, P));
        Assert.Equal(0, c.Memory.PinCount);
        Assert.Equal(Errno.EFAULT, first.Read(Base, new byte[1]));
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        Assert.Equal(Errno.None, first.Read(Base, new byte[1]));
        Assert.Equal(Errno.None, c.Destroy(second));
        Assert.Equal(1, c.Memory.Pins[0]);
    }

    [Fact]
    public void Entries_are_as_large_as_both_addresses_allow()
    {
        SimulatedIommu iommu = new() { PageSizes = 0x4020_1000 };
        Assert.Equal(Errno.None, iommu.CreateDomain(DomainOptions.None, default, out IPagingDomain? domain));
        using IPagingDomain owned = domain!;
        MemorySource source = new UserMemorySource(new ProcessUserMemory(), 0x4000_0000, 8ul << 30, writable: true);
        Assert.Equal(Errno.None, domain!.Map(Range(0x8000_0000 - P, 0x8000_0000 + (4ul << 30) - 1), source, 0x4000_0000 - P, DmaAccess.ReadWrite));
        Assert.Equal(Range(0x8000_0000 - P, 0x8000_0000 - 1), EntryAt(0x8000_0000 - 1));
        Assert.Equal(Range(0x8000_0000, 0xBFFF_FFFF), EntryAt(0x9000_0000));
        Assert.Equal(Range(0x1_4000_0000, 0x1_7FFF_FFFF), EntryAt(0x1_7FFF_FFFF));
        Assert.Equal(Errno.EFAULT, domain.Enter(0x1_8000_0000, DmaAccess.Read, out _));
        domain.Unmap(IovaRange.All);

        // Addresses that differ by a page and a half of the larger size have nothing but small entries.
        Assert.Equal(Errno.None, domain.Map(Range(0x20_0000, 0x5F_FFFF), source, 0x1000, DmaAccess.Read));
        Assert.Equal(Range(0x20_1000, 0x20_1FFF), EntryAt(0x20_1234));
        Assert.Equal(1, ((SimulatedDomain)domain).Count);
        source.RemoveReference();

        IovaRange EntryAt(ulong iova)
        {
            Assert.Equal(Errno.None, domain.Enter(iova, DmaAccess.Read, out DomainMapping? mapping));
            mapping!.Exit();
            return mapping.EntryAt(iova);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_maps_translate_as_a_naive_model(int seed)
    {
        Random random = new(seed);
        SimulatedIommu iommu = new() { PageSizes = ~2047ul };
        Assert.Equal(Errno.None, iommu.CreateDomain(DomainOptions.DirtyTracking, default, out IPagingDomain? domain));
        using IPagingDomain owned = domain!;
        MemorySource source = new UserMemorySource(new ProcessUserMemory(), B, 1ul << 40, writable: true);
        List<(ulong Start, ulong Last, ulong Offset, DmaAccess Access)> model = [];
        ulong[] bases = [0, 0x1000000, 0x7fff_ffff_0000, ulong.MaxValue - 0xFF_FFFF];
        for (int step = 0; step < 3000; step++)
        {
            ulong start = bases[random.Next(4)] + ((ulong)random.Next(0, 200) * 2048);
            ulong length = (ulong)random.Next(1, random.Next(2) == 0 ? 4 : 60) * 2048;
            IovaRange range = Range(start, start + length - 1);
            if (random.Next(3) != 0 && !model.Exists(entry => entry.Start <= range.Last && start <= entry.Last))
            {
                ulong offset = (ulong)random.Next(0, 4096) * 2048;
                DmaAccess access = (DmaAccess)random.Next(1, 4);
                Assert.Equal(Errno.None, domain!.Map(range, source, offset, access));
                model.Add((start, range.Last, offset, access));
            }
            else if (model.Count > 0 && random.Next(2) == 0)
            {
                (ulong Start, ulong Last, ulong Offset, DmaAccess Access) gone = model[random.Next(model.Count)];
                domain!.Unmap(Range(gone.Start, gone.Last));
                model.Remove(gone);
            }

            ulong probe = bases[random.Next(4)] + (ulong)random.Next(0, 270 * 2048);
            DmaAccess wanted = (DmaAccess)random.Next(1, 4);
            (ulong Start, ulong Last, ulong Offset, DmaAccess Access) expected = model.Find(entry => probe >= entry.Start && probe <= entry.Last);
            bool allowed = expected.Last != 0 && (expected.Access & wanted) == wanted;
            Assert.Equal(allowed ? Errno.None : Errno.EFAULT, domain!.Enter(probe, wanted, out DomainMapping? mapping));
            Assert.Equal(model.Count, ((SimulatedDomain)domain).Count);
            if (allowed)
            {
                Assert.Equal(expected.Offset + (probe - expected.Start), mapping!.SourceOffset(probe));
                Assert.True(mapping.EntryAt(probe).Contains(probe) && mapping.Range.Contains(mapping.EntryAt(probe)));
                mapping.Exit();
            }
        }

        source.RemoveReference();
    }

    [Fact]
    public void Case016_information_about_the_hardware_fits_the_callers_structure()
    {
        using IommufdCaller c = new();
        IommufdDevice device = c.Bind(pasids: 1 << 20);
        iommu_hw_info command = new() { dev_id = device.Id, data_len = 12, data_uptr = ListAddress, out_capabilities = 0xEEEE };
        c.Memory.Bytes.AsSpan(256, 16).Fill(0xAA);
        Assert.Equal(Errno.None, c.Call(IommufdUapi.IOMMU_GET_HW_INFO, ref command, 32));
        Assert.Equal((8u, InfoType, (byte)20), (command.data_len, command.out_data_type, command.out_max_pasid_log2));
        Assert.Equal(0xEEEEul, command.out_capabilities); // Beyond what the caller has: untouched.
        Assert.Equal([0, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde, 0, 0, 0, 0, 0xAA], c.Memory.Bytes[256..269]);
        command = new() { dev_id = device.Id, data_len = 4, data_uptr = ListAddress };
        Assert.Equal(Errno.None, c.Call(IommufdUapi.IOMMU_GET_HW_INFO, ref command));
        Assert.Equal(IommufdUapi.IOMMU_HW_CAP_DIRTY_TRACKING | IommufdUapi.IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED, command.out_capabilities);
        command = new() { dev_id = device.Id, flags = 2 };
        Assert.Equal(Errno.EOPNOTSUPP, c.Call(IommufdUapi.IOMMU_GET_HW_INFO, ref command));
        command = new() { dev_id = device.Id, flags = 1, in_data_type = 77 };
        Assert.Equal(Errno.EOPNOTSUPP, c.Call(IommufdUapi.IOMMU_GET_HW_INFO, ref command));
        command = new() { dev_id = device.Id, data_len = 8, data_uptr = 0x99 };
        Assert.Equal(Errno.EFAULT, c.Call(IommufdUapi.IOMMU_GET_HW_INFO, ref command));
        command = new() { dev_id = c.Alloc() };
        Assert.Equal(Errno.ENOENT, c.Call(IommufdUapi.IOMMU_GET_HW_INFO, ref command));
    }

    [Fact]
    public void Case107_108_large_pages_can_be_forbidden_only_before_something_is_shown()
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        _ = c.Attach(ioas);
        ulong off = 0;
        ulong on = 1;
        Assert.Equal(Errno.None, c.Option(IommufdUapi.IOMMU_OPTION_HUGE_PAGES, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, ref off));
        Assert.Equal(Errno.None, c.Option(IommufdUapi.IOMMU_OPTION_HUGE_PAGES, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, ref on));
        Assert.Equal(Errno.None, c.Map(ioas, Base, P));
        off = 0;
        Assert.Equal(Errno.EINVAL, c.Option(IommufdUapi.IOMMU_OPTION_HUGE_PAGES, IommufdUapi.IOMMU_OPTION_OP_SET, ioas, ref off));
    }

    [Fact]
    public async Task Maps_and_unmaps_race_with_domains_and_leave_nothing()
    {
        using IommufdCaller c = new();
        uint id = c.Alloc();
        Ioas ioas = c.Ioas(id);
        IommufdDevice device = c.Bind();
        using CancellationTokenSource done = new();
        Task[] mappers = [.. Enumerable.Range(0, 2).Select(which => Task.Run(() =>
        {
            MemorySource source = new UserMemorySource(c.Memory, B, 16 * P, writable: true);
            for (int i = 0; i < 1500; i++)
            {
                ulong iova = Base + (ulong)(((which * 64) + (i % 32)) * 2) * P;
                Errno mapped = ioas.MapFixed(iova, P, source, (ulong)(i % 16) * P, DmaAccess.ReadWrite);
                Assert.Equal(Errno.None, mapped);
                Assert.Equal(Errno.None, ioas.Unmap(Range(iova, iova + P - 1), out ulong bytes));
                Assert.Equal(P, bytes);
            }

            source.RemoveReference();
        }))];
        Task attacher = Task.Run(() =>
        {
            while (!done.IsCancellationRequested)
            {
                uint target = id;
                Assert.Equal(Errno.None, device.Attach(ref target));
                _ = device.Read(Base, new byte[8]);
                device.Detach();
            }
        });
        await Task.WhenAll(mappers);
        await done.CancelAsync();
        await attacher;
        Assert.Equal(0, c.Memory.PinCount);
        Assert.Equal(0, ioas.AreaCount);
        Assert.Equal(1ul, ioas.Alignment);
        Assert.Equal(2, c.Context.ObjectCount);
    }
}
