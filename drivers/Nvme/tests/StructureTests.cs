using System.Buffers.Binary;
using Vfio.Abi;

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>What devices say, decoded; also what no device should say.</summary>
public sealed class StructureTests
{
    [Theory]
    [InlineData(0x0000, "Successful Completion")]
    [InlineData(0x0002, "Invalid Field in Command")]
    [InlineData(0x0080, "LBA Out of Range")]
    [InlineData(0x0102, "Invalid Queue Size")]
    [InlineData(0x0182, "Attempted Write to Read Only Range")]
    [InlineData(0x0281, "Unrecovered Read Error")]
    [InlineData(0x0371, "Command Aborted By Host")]
    [InlineData(0x0742, "Vendor Specific")]
    [InlineData(0x047F, "unknown")]
    public void Status_has_the_standards_name(ushort value, string name) => Assert.Equal(name, new NvmeStatus(value).Name);

    [Fact]
    public void Status_fields_are_where_the_standard_has_them()
    {
        NvmeStatus status = new(0x4000 | 0x2000 | 0x1800 | 0x0281);
        Assert.Equal((NvmeStatusType.MediaAndDataIntegrity, 0x81), (status.Type, status.Code));
        Assert.Equal((true, true, 3, false), (status.DoNotRetry, status.HasMore, status.RetryDelayIndex, status.IsSuccess));
        Assert.Equal("Unrecovered Read Error (SCT 2h, SC 81h, do not retry)", status.ToString());
    }

    [Fact]
    public void Capabilities_are_decoded()
    {
        ControllerCapabilities capabilities = new(0x0041_0032_1401_03FF);
        Assert.Equal(1024, capabilities.MaximumQueueEntries);
        Assert.True(capabilities.RequiresContiguousQueues);
        Assert.Equal(TimeSpan.FromSeconds(10), capabilities.Timeout);
        Assert.Equal(16, capabilities.DoorbellStride);
        Assert.True(capabilities.SupportsNvmCommandSet);
        Assert.Equal((13, 16), (capabilities.MinimumPageShift, capabilities.MaximumPageShift));
    }

    [Fact]
    public void Controller_text_that_is_not_printable_is_replaced()
    {
        byte[] page = new byte[4096];
        "\u001b[31mred"u8.CopyTo(page.AsSpan(24));
        page.AsSpan(64, 8).Fill(0xFF);
        NvmeControllerIdentity identity = NvmeControllerIdentity.Parse(page);
        Assert.Equal("?[31mred", identity.ModelNumber);
        Assert.Equal("????????", identity.FirmwareRevision);
    }

    [Fact]
    public void Namespace_formats_beyond_the_table_are_none()
    {
        byte[] page = new byte[4096];
        page[25] = 255;
        page[26] = 0xEF;
        NvmeNamespaceIdentity identity = NvmeNamespaceIdentity.Parse(page);
        Assert.Equal(64, identity.Formats.Count);
        Assert.Equal(63, identity.FormatIndex);
        page[25] = 0;
        identity = NvmeNamespaceIdentity.Parse(page);
        Assert.Equal(15, identity.FormatIndex);
        Assert.Equal(0, identity.Format.BlockSize);
    }

    [Fact]
    public void Descriptors_end_where_they_do_not_fit()
    {
        byte[] list = new byte[4096];
        list[0] = 3;
        list[1] = 16;
        Convert.FromHexString("00112233445566778899aabbccddeeff").CopyTo(list, 4);
        list[20] = 4;
        list[21] = 1;
        list[25] = 1;
        list[26] = 255;
        NvmeNamespaceDescriptors descriptors = NvmeNamespaceDescriptors.Parse(list.AsSpan(0, 40));
        Assert.Equal(Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"), descriptors.Uuid);
        Assert.Equal((byte)0, descriptors.CommandSet);
        Assert.Null(descriptors.ExtendedUniqueId);
        byte[] endless = new byte[4096];
        endless.AsSpan().Fill(1);
        _ = NvmeNamespaceDescriptors.Parse(endless);
        _ = NvmeNamespaceDescriptors.Parse([4, 1]);
    }

    [Fact]
    public void Smart_log_is_decoded()
    {
        byte[] page = new byte[512];
        page[0] = 0x06;
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(1), 300);
        page[3] = 99;
        page[4] = 10;
        page[5] = 120;
        BinaryPrimitives.WriteUInt128LittleEndian(page.AsSpan(32), UInt128.MaxValue);
        BinaryPrimitives.WriteUInt128LittleEndian(page.AsSpan(144), 7);
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(202), 333);
        NvmeSmartLog log = NvmeSmartLog.Parse(page);
        Assert.Equal(NvmeCriticalWarnings.Temperature | NvmeCriticalWarnings.Reliability, log.CriticalWarnings);
        Assert.Equal((300, 99, 10, 120), (log.Temperature, log.AvailableSpare, log.AvailableSpareThreshold, log.PercentageUsed));
        Assert.Equal(UInt128.MaxValue, log.DataUnitsRead);
        Assert.Equal((UInt128)7, log.UnsafeShutdowns);
        Assert.Equal([0, 333, 0], log.Sensors.Take(3).Select(static sensor => (int)sensor));
    }

    [Fact]
    public void Error_log_entry_is_decoded()
    {
        byte[] entry = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(entry, 5);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(8), 2);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(10), 77);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(12), 0x0281 << 1 | 1);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(16), 1234);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(24), 1);
        Assert.Equal(new NvmeErrorLogEntry(5, 2, 77, new NvmeStatus(0x0281), 0, 1234, 1), NvmeErrorLogEntry.Parse(entry));
    }

    [Theory]
    [InlineData(0x0080, Errno.EINVAL)]
    [InlineData(0x0007, Errno.ETIMEDOUT)]
    [InlineData(0x0020, Errno.EROFS)]
    [InlineData(0x0281, Errno.ENODATA)]
    [InlineData(0x0006, Errno.EIO)]
    public void Exception_has_the_errno_that_fits(ushort status, Errno errno)
    {
        NvmeException exception = new(new NvmeStatus(status), "read");
        Assert.Equal(errno, exception.Errno);
        Assert.Contains(new NvmeStatus(status).Name, exception.Message, StringComparison.Ordinal);
    }
}
