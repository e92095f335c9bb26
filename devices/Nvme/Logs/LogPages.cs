using System.Buffers.Binary;
using System.Text;

namespace Vfio.Devices.Nvme;

/// <summary>The log pages (NVMe Base 2.0 §5.16.1). Pages are given zeroed; the methods tell how long the log is.</summary>
internal static class LogPages
{
    /// <summary>The composite temperature, in kelvin. It does not change.</summary>
    public const ushort Temperature = 310;

    /// <summary>Critical Warning, and what the host asks to be told of (Asynchronous Event Configuration): the temperature is beyond a threshold.</summary>
    public const byte TemperatureWarning = 1 << 1;

    /// <summary>The same: a backend fails what it is asked for, or has lost what it acknowledged.</summary>
    public const byte ReliabilityWarning = 1 << 2;

    /// <summary>CSUPP: the command is supported.</summary>
    private const uint IsSupported = 1;

    /// <summary>LBCC: the command may change what blocks hold.</summary>
    private const uint ChangesBlocks = 2;

    /// <summary>NCC: the command may change what a namespace can do.</summary>
    private const uint ChangesNamespace = 4;

    /// <summary>NIC: the command may change which namespaces there are.</summary>
    private const uint ChangesInventory = 8;

    /// <summary>CSE: no other command for the namespace at the same time.</summary>
    private const uint IsAloneInNamespace = 1 << 16;

    /// <summary>Log page 00h: which there are.</summary>
    public static int WriteSupportedLogs(Span<byte> page)
    {
        for (int id = 0; id <= 5; id++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page[(id * 4)..], 1);
        }

        return 1024;
    }

    /// <summary>Log page 02h: SMART and health.</summary>
    public static int WriteHealth(Span<byte> page, NvmeController controller)
    {
        page[0] = (byte)((controller.Features.IsWarning(Temperature) ? TemperatureWarning : 0) | (controller.IsDegraded ? ReliabilityWarning : 0)); // Critical warning
        BinaryPrimitives.WriteUInt16LittleEndian(page[1..], Temperature);                   // Composite temperature, K
        page[3] = 100;                                                                      // Available spare
        page[4] = 10;                                                                       // Available spare threshold
        IoStatistics sum = controller.SumStatistics();
        BinaryPrimitives.WriteInt64LittleEndian(page[32..], InUnits(sum.BytesRead));        // Data units read
        BinaryPrimitives.WriteInt64LittleEndian(page[48..], InUnits(sum.BytesWritten));     // Data units written
        BinaryPrimitives.WriteInt64LittleEndian(page[64..], sum.ReadCommands);              // Host read commands
        BinaryPrimitives.WriteInt64LittleEndian(page[80..], sum.WriteCommands);             // Host write commands
        BinaryPrimitives.WriteUInt64LittleEndian(page[112..], 1);                           // Power cycles
        BinaryPrimitives.WriteInt64LittleEndian(page[128..], (controller.Milliseconds - controller.PowerOnTime) / 3_600_000); // Power on hours
        BinaryPrimitives.WriteInt64LittleEndian(page[160..], controller.MediaErrors);       // Media and data integrity errors
        BinaryPrimitives.WriteUInt64LittleEndian(page[176..], controller.Errors.Count);     // Error log entries
        return 512;
    }

    /// <summary>Log page 03h: one slot, which is active.</summary>
    public static int WriteFirmwareSlots(Span<byte> page)
    {
        page[0] = 1;
        page[8..16].Fill((byte)' ');
        Encoding.ASCII.GetBytes("1.0", page[8..]);
        return 512;
    }

    /// <summary>Log page 05h: commands supported and effects, for namespaces of a command set.</summary>
    public static int WriteCommandEffects(Span<byte> page, NvmeController controller, byte commandSet)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(page[((int)AdminOpcode.FormatNvm * 4)..], IsSupported | ChangesBlocks | ChangesNamespace | IsAloneInNamespace);
        if (controller.OffersShadowDoorbells)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page[((int)AdminOpcode.DoorbellBufferConfig * 4)..], IsSupported);
        }

        if (controller.ManagesNamespaces)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page[((int)AdminOpcode.NamespaceManagement * 4)..], IsSupported | ChangesInventory);
            BinaryPrimitives.WriteUInt32LittleEndian(page[((int)AdminOpcode.NamespaceAttachment * 4)..], IsSupported | ChangesInventory);
        }

        foreach (AdminOpcode opcode in (ReadOnlySpan<AdminOpcode>)
        [
            AdminOpcode.DeleteSubmissionQueue, AdminOpcode.CreateSubmissionQueue, AdminOpcode.GetLogPage, AdminOpcode.DeleteCompletionQueue,
            AdminOpcode.CreateCompletionQueue, AdminOpcode.Identify, AdminOpcode.Abort, AdminOpcode.SetFeatures, AdminOpcode.GetFeatures, AdminOpcode.AsyncEventRequest,
        ])
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page[((int)opcode * 4)..], IsSupported);
        }

        foreach (IoOpcode opcode in (ReadOnlySpan<IoOpcode>)
        [
            IoOpcode.Flush, IoOpcode.Write, IoOpcode.Read, IoOpcode.WriteUncorrectable, IoOpcode.Compare, IoOpcode.WriteZeroes, IoOpcode.DatasetManagement, IoOpcode.Verify,
            IoOpcode.Copy,
        ])
        {
            bool changes = opcode is IoOpcode.Write or IoOpcode.WriteUncorrectable or IoOpcode.WriteZeroes or IoOpcode.DatasetManagement or IoOpcode.Copy;
            BinaryPrimitives.WriteUInt32LittleEndian(page[(1024 + ((int)opcode * 4))..], IsSupported | (changes ? ChangesBlocks : 0));
        }

        if (commandSet == IoCommandSet.Zoned)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page[(1024 + ((int)IoOpcode.ZoneManagementSend * 4))..], IsSupported | ChangesBlocks);
            BinaryPrimitives.WriteUInt32LittleEndian(page[(1024 + ((int)IoOpcode.ZoneManagementReceive * 4))..], IsSupported);
            BinaryPrimitives.WriteUInt32LittleEndian(page[(1024 + ((int)IoOpcode.ZoneAppend * 4))..], IsSupported | ChangesBlocks);
        }

        return 4096;
    }

    /// <summary>Thousands of 512 bytes, rounded up.</summary>
    private static long InUnits(long bytes) => (bytes + 511_999) / 512_000;
}
