using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Tests;

/// <summary>Fault queues (spec iommufd §2.17, §8.1, §8.11).</summary>
public sealed class EventTests
{
    [Fact]
    public void Case023_a_queue_stays_while_its_file_is_open()
    {
        using IommufdCaller c = new();
        (uint id, VfioFile file) = Queue(c);
        Assert.Equal(Errno.EBUSY, c.Destroy(id));
        file.Dispose();
        Assert.Equal(Errno.None, c.Destroy(id));
    }

    [Fact]
    public void Case204_records_are_read_and_written_whole()
    {
        using IommufdCaller c = new();
        (uint _, VfioFile file) = Queue(c);
        Assert.Equal(Errno.ESPIPE, file.Read(new byte[39], 0).Error);
        Assert.Equal(Errno.ESPIPE, file.Read(new byte[40], 40).Error);
        Assert.Equal(0, file.Read(new byte[40], 0).Value);
        Assert.Equal(Errno.EINVAL, file.Write(Response(5, 0), 0).Error);
        Assert.Equal(Errno.ESPIPE, file.Write(new byte[7], 0).Error);
        Assert.Equal(EventLoopEvents.Write, file.Readiness);
    }

    [Fact]
    public void Faults_go_to_the_user_and_answers_come_back()
    {
        using IommufdCaller c = new();
        IommufdDevice device = WithQueue(c, out VfioFile file, out uint ioas);
        List<(int, PageResponse)> answers = [];
        int woken = 0;
        file.ReadinessChanged += () => woken++;
        Assert.Equal(Errno.None, device.ReportFaults([new PageFault(0x1000, 1, 7), new PageFault(0x2000, 3, 7)], answer => answers.Add((1, answer))));
        Assert.Equal(Errno.None, device.ReportFaults([new PageFault(0x3000, 2, 8)], answer => answers.Add((2, answer))));
        Assert.Equal(EventLoopEvents.Read | EventLoopEvents.Write, file.Readiness);
        Assert.Equal(2, woken);
        Assert.Equal(Errno.EINVAL, file.Read(new byte[40], 0).Error); // The first group has two.
        Assert.Equal(Errno.EINVAL, file.Read([], 0).Error);
        byte[] buffer = new byte[200];
        Assert.Equal(120, file.Read(buffer, 0).Value);
        iommu_hwpt_pgfault[] records = MemoryMarshal.Cast<byte, iommu_hwpt_pgfault>(buffer.AsSpan(0, 120)).ToArray();
        Assert.Equal([0u, 2u, 2u], records.Select(static record => record.flags));
        Assert.All(records, record => Assert.Equal((device.Id, 0u, 0u), (record.dev_id, record.length, record.__reserved)));
        Assert.Equal([(0x1000ul, 1u, 7u), (0x2000ul, 3u, 7u), (0x3000ul, 2u, 8u)], records.Select(static record => (record.addr, record.perm, record.grpid)));
        Assert.Equal(records[0].cookie, records[1].cookie);
        Assert.NotEqual(records[0].cookie, records[2].cookie);
        byte[] responses = [.. Response(records[2].cookie, 0), .. Response(records[0].cookie, 1), .. Response(records[0].cookie, 0)];
        Assert.Equal(16, file.Write(responses, 0).Value); // The third names nobody any more.
        Assert.Equal([(2, PageResponse.Success), (1, PageResponse.Invalid)], answers);
        Assert.Equal(Errno.EINVAL, file.Write(Response(records[0].cookie, 2), 0).Error);
        Assert.NotEqual(0u, ioas);
    }

    [Fact]
    public void What_nobody_answered_is_answered_when_the_attachment_ends()
    {
        using IommufdCaller c = new();
        IommufdDevice device = WithQueue(c, out VfioFile file, out uint ioas);
        List<(int, PageResponse)> answers = [];
        Assert.Equal(Errno.None, device.ReportFaults([new PageFault(0x1000, 1)], answer => answers.Add((1, answer))));
        Assert.Equal(40, file.Read(new byte[40], 0).Value);
        Assert.Equal(Errno.None, device.ReportFaults([new PageFault(0x2000, 1)], answer => answers.Add((2, answer))));
        uint target = ioas;
        Assert.Equal(Errno.None, device.Replace(ref target));
        Assert.Equal([(2, PageResponse.Invalid), (1, PageResponse.Invalid)], answers);
        Assert.Equal(0, file.Read(new byte[40], 0).Value);
        Assert.Equal(Errno.EINVAL, device.ReportFaults([new PageFault(0x2000, 1)], static _ => Assert.Fail("nobody handles it")));
    }

    [Fact]
    public void A_virtual_function_that_shares_its_page_requests_takes_no_fault_queue()
    {
        using IommufdCaller c = new();
        IommufdDevice first = WithQueue(c, out _, out uint _);
        uint target = first.GetPageTable()!.Id;
        IommuGroup group = new(1, null, new MockIommu());
        Assert.Equal(Errno.None, c.Context.BindDevice(new MockDevice(group) { SharesPageRequests = true }, false, out IommufdDevice? function));
        Assert.Equal(Errno.EINVAL, function!.Attach(ref target));
        function.Unbind();
    }

    [Fact]
    public void A_full_table_or_an_unwritable_answer_leaves_nothing()
    {
        using IommufdCaller c = new();
        c.Files.IsFull = true;
        iommu_fault_alloc command = default;
        Assert.Equal(Errno.EMFILE, c.Call(IommufdUapi.IOMMU_FAULT_QUEUE_ALLOC, ref command));
        Assert.Equal(0, c.Context.ObjectCount);
        c.Files.IsFull = false;
        TestUserMemory readOnly = new(64, writable: 0);
        readOnly.Bytes[0] = 16;
        Assert.Equal(Errno.EFAULT, c.Context.Ioctl(IommufdUapi.IOMMU_FAULT_QUEUE_ALLOC, new UserArgument(readOnly, TestUserMemory.Base, c.Files)).Error);
        Assert.Equal(0, c.Context.ObjectCount);
        Assert.Empty(c.Files.Files);
    }

    internal static byte[] Response(uint cookie, uint code)
    {
        byte[] bytes = new byte[Unsafe.SizeOf<iommu_hwpt_page_response>()];
        MemoryMarshal.Write(bytes, new iommu_hwpt_page_response { cookie = cookie, code = code });
        return bytes;
    }

    private static (uint Id, VfioFile File) Queue(IommufdCaller c)
    {
        iommu_fault_alloc command = default;
        Assert.Equal(Errno.None, c.Call(IommufdUapi.IOMMU_FAULT_QUEUE_ALLOC, ref command));
        return (command.out_fault_id, (VfioFile)c.Files.Files[(int)command.out_fault_fd]);
    }

    private static IommufdDevice WithQueue(IommufdCaller c, out VfioFile file, out uint ioas)
    {
        (uint id, file) = Queue(c);
        ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint pageTable, IommufdUapi.IOMMU_HWPT_FAULT_ID_VALID, fault: id));
        Assert.Equal(Errno.None, device.Attach(ref pageTable));
        return device;
    }
}
