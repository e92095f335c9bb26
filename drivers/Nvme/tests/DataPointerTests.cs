namespace Vfio.Drivers.Nvme.Tests;

public sealed class DataPointerTests
{
    private const ulong List = 0x7000;

    [Theory]
    [InlineData(0x10000UL, 512u, 0UL, 0)]
    [InlineData(0x10000UL, 4096u, 0UL, 0)]
    [InlineData(0x10800UL, 2048u, 0UL, 0)]
    [InlineData(0x10800UL, 4096u, 0x11000UL, 0)]
    [InlineData(0x10000UL, 8192u, 0x11000UL, 0)]
    [InlineData(0x10000UL, 8193u, List, 2)]
    [InlineData(0x10ffcUL, 4100u, 0x11000UL, 0)]
    [InlineData(0x10ffcUL, 4104u, List, 2)]
    [InlineData(0x10000UL, 131072u, List, 31)]
    [InlineData(0x10004UL, 131072u, List, 32)]
    public void SetPrp_any_shape_is_two_entries_or_a_list(ulong iova, uint length, ulong second, int entries)
    {
        SubmissionEntry entry = default;
        ulong[] list = new ulong[64];
        DataPointer.SetPrp(ref entry, iova, length, 12, list, List);
        Assert.Equal(iova, entry.DataPointer1);
        Assert.Equal(second, entry.DataPointer2);
        Assert.Equal(0, entry.Flags);
        Assert.Equal(entries, list.Count(static item => item != 0));
        for (int i = 0; i < entries; i++)
        {
            Assert.Equal((iova & ~0xFFFUL) + ((ulong)(i + 1) * 4096), list[i]);
        }

        Assert.InRange(entries, 0, DataPointer.PrpListEntries(length, 12));
    }

    [Fact]
    public void SetPrp_larger_page_counts_in_it()
    {
        SubmissionEntry entry = default;
        ulong[] list = new ulong[8];
        DataPointer.SetPrp(ref entry, 0x10000, 4 * 65536, 16, list, List);
        Assert.Equal(List, entry.DataPointer2);
        Assert.Equal([0x20000UL, 0x30000UL, 0x40000UL, 0UL], list.Take(4));
    }

    [Fact]
    public void SetSgl_is_one_data_block()
    {
        SubmissionEntry entry = default;
        DataPointer.SetSgl(ref entry, 0x12345678_9ABCDEF0, 0x00123456);
        Assert.Equal(0x40, entry.Flags);
        Assert.Equal(0x12345678_9ABCDEF0UL, entry.DataPointer1);
        Assert.Equal(0x00123456UL, entry.DataPointer2);
    }

    [Fact]
    public void Submission_entry_has_64_bytes_in_the_standards_order()
    {
        SubmissionEntry entry = new() { Opcode = 1, Flags = 2, CommandId = 0x0403, NamespaceId = 0x08070605, DataPointer1 = 0x18, DataPointer2 = 0x20, Dword10 = 0x28, Dword15 = 0x3C };
        byte[] bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(new ReadOnlySpan<SubmissionEntry>(in entry)).ToArray();
        Assert.Equal(64, bytes.Length);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], bytes[..8]);
        Assert.Equal(0x18, bytes[0x18]);
        Assert.Equal(0x20, bytes[0x20]);
        Assert.Equal(0x28, bytes[0x28]);
        Assert.Equal(0x3C, bytes[0x3C]);
    }
}
