using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Vfio.Devices.Nvme;

/// <summary>The structures of Identify (NVMe Base 2.0 §5.17.2, NVM Command Set 1.0 §4.1.5). Pages are given zeroed.</summary>
internal static class IdentifyData
{
    /// <summary>ONCS: Compare, Write Uncorrectable, Dataset Management, Write Zeroes, Select of Get Features, Timestamp, Verify, Copy.</summary>
    private const ushort OptionalCommands = 1 | (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 6) | (1 << 7) | (1 << 8);

    /// <summary>OACS: Format NVM.</summary>
    private const ushort OptionalAdminCommands = 1 << 1;

    /// <summary>OACS: Doorbell Buffer Config.</summary>
    private const ushort ShadowDoorbells = 1 << 8;

    /// <summary>OACS: Namespace Management and Attachment.</summary>
    private const ushort ManagesNamespaces = 1 << 3;

    /// <summary>NSFEAT: NPWG, NPWA, NPDG, NPDA and NOWS tell something.</summary>
    private const byte TellsGranularity = 1 << 4;

    /// <summary>Bytes that a backend's storage is best written and given back by.</summary>
    private const int Granularity = 4096;

    /// <summary>LPA: Commands Supported and Effects, and offsets and long lengths of log pages.</summary>
    private const byte LogAttributes = (1 << 1) | (1 << 2);

    /// <summary>Structure 01h.</summary>
    public static void WriteController(Span<byte> page, NvmeController controller)
    {
        NvmeOptions options = controller.Options;
        BinaryPrimitives.WriteUInt16LittleEndian(page, 0x1234);                                     // VID
        BinaryPrimitives.WriteUInt16LittleEndian(page[2..], 0x1234);                                // SSVID
        WriteText(page[4..24], options.Serial);                                                     // SN
        WriteText(page[24..64], options.Model);                                                     // MN
        WriteText(page[64..72], "1.0");                                                             // FR
        page[77] = ControllerCapabilities.MaxTransferShift;                                         // MDTS
        BinaryPrimitives.WriteUInt16LittleEndian(page[78..], 1);                                    // CNTLID
        BinaryPrimitives.WriteUInt32LittleEndian(page[80..], ControllerCapabilities.Version);       // VER
        BinaryPrimitives.WriteUInt32LittleEndian(page[92..], EventQueue.NamespacesWanted);          // OAES
        BinaryPrimitives.WriteUInt32LittleEndian(page[96..], 1);                                    // CTRATT: host identifiers of 128 bits
        page[111] = 1;                                                                              // CNTRLTYPE: I/O controller
        BinaryPrimitives.WriteUInt16LittleEndian(page[256..], (ushort)(OptionalAdminCommands | (controller.ManagesNamespaces ? ManagesNamespaces : 0) | (controller.OffersShadowDoorbells ? ShadowDoorbells : 0)));
        page[258] = 3;                                                                              // ACL
        page[259] = EventQueue.Limit - 1;                                                           // AERL
        page[260] = 0x03;                                                                           // FRMW: one slot, read only
        page[261] = LogAttributes;                                                                  // LPA
        page[262] = ErrorLog.Capacity - 1;                                                          // ELPE
        BinaryPrimitives.WriteUInt16LittleEndian(page[266..], FeatureSet.WarningTemperature);       // WCTEMP
        BinaryPrimitives.WriteUInt16LittleEndian(page[268..], FeatureSet.WarningTemperature + 10);  // CCTEMP
        BinaryPrimitives.WriteUInt64LittleEndian(page[280..], controller.TotalCapacity);            // TNVMCAP
        BinaryPrimitives.WriteUInt64LittleEndian(page[296..], controller.FreeCapacity);             // UNVMCAP
        page[512] = 0x66;                                                                           // SQES
        page[513] = 0x44;                                                                           // CQES
        BinaryPrimitives.WriteUInt32LittleEndian(page[516..], NvmeController.MaxNamespaces);      // NN
        BinaryPrimitives.WriteUInt16LittleEndian(page[520..], OptionalCommands);                    // ONCS
        BinaryPrimitives.WriteUInt16LittleEndian(page[522..], 1);                                   // FUSES: compare and write
        page[525] = (byte)((controller.HasCache ? 1 : 0) | (3 << 1));                               // VWC: Flush takes all namespaces
        page[531] = 1;                                                                              // NWPC: write protection
        BinaryPrimitives.WriteUInt16LittleEndian(page[534..], CopyCommand.Formats);                 // OCFS
        BinaryPrimitives.WriteUInt32LittleEndian(page[536..], SglList.Support);                     // SGLS
        string name = string.Create(CultureInfo.InvariantCulture, $"nqn.2026-01.net.vfio:nvme:{options.Serial}");
        Encoding.UTF8.GetBytes(name, page[768..1024]);                                              // SUBNQN

        // PSD0: MP in units of 10 mW.
        BinaryPrimitives.WriteUInt16LittleEndian(page[2048..], 2500);
    }

    /// <summary>Structures 00h and 11h.</summary>
    public static void WriteNamespace(Span<byte> page, NvmeNamespace ns)
    {
        BlockFormat format = ns.LastFormat;
        int left = ns.FormatLeft;
        BinaryPrimitives.WriteUInt64LittleEndian(page, format.Blocks);         // NSZE
        ulong capacity = ns.Zones is { } zones ? ((ulong)zones.Count * zones.Capacity) >> format.BlockShift : format.Blocks;
        BinaryPrimitives.WriteUInt64LittleEndian(page[8..], capacity);         // NCAP
        BinaryPrimitives.WriteUInt64LittleEndian(page[16..], capacity);        // NUSE
        page[26] = format.SizeField;                                           // FLBAS
        page[29] = format.ProtectionField;                                     // DPS
        page[32] = (byte)(0x80 | left);                                        // FPI
        WriteCapabilities(page, ns.Metadata is not null);
        int inGranule = (Granularity >> format.BlockShift) - 1;
        BinaryPrimitives.WriteUInt16LittleEndian(page[64..], (ushort)inGranule);    // NPWG
        BinaryPrimitives.WriteUInt16LittleEndian(page[66..], (ushort)inGranule);    // NPWA
        BinaryPrimitives.WriteUInt16LittleEndian(page[68..], (ushort)inGranule);    // NPDG
        BinaryPrimitives.WriteUInt16LittleEndian(page[70..], (ushort)inGranule);    // NPDA
        uint copied = (uint)(CopyCommand.MaxLength >> format.BlockShift);
        BinaryPrimitives.WriteUInt16LittleEndian(page[74..], (ushort)copied);  // MSSRL
        BinaryPrimitives.WriteUInt32LittleEndian(page[76..], copied);          // MCL
        page[80] = CopyCommand.MaxRanges - 1;                                  // MSRC
        page[99] = (byte)(ns.IsReadOnly ? 1 : 0);                              // NSATTR
        ns.Nguid.CopyTo(page[104..]);                                          // NGUID
        BinaryPrimitives.WriteUInt64BigEndian(page[120..], ns.Eui64);          // EUI64
    }

    /// <summary>Structure 00h of all namespaces: what further ones will have.</summary>
    public static void WriteCommonCapabilities(Span<byte> page) => WriteCapabilities(page, hasMetadata: true);

    /// <summary>Structures 02h, 07h, 10h and 1Ah: the identifiers above one, ascending.</summary>
    public static void WriteNamespaceList(Span<byte> page, NvmeController controller, uint after, bool isAttached, byte? commandSet)
    {
        int count = 0;
        for (uint id = after + 1; id <= NvmeController.MaxNamespaces; id++)
        {
            if ((isAttached ? controller.FindNamespace(id) : controller.FindAllocated(id)) is { } ns && (commandSet ?? ns.CommandSet) == ns.CommandSet)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(page[(count++ * sizeof(uint))..], id);
            }
        }
    }

    /// <summary>Structures 12h and 13h: this controller.</summary>
    public static void WriteControllerList(Span<byte> page)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(page, 1);
        BinaryPrimitives.WriteUInt16LittleEndian(page[2..], NamespaceAttachmentCommand.ControllerId);
    }

    /// <summary>Structure 03h: EUI-64, NGUID, UUID and command set.</summary>
    public static void WriteDescriptors(Span<byte> page, NvmeNamespace ns)
    {
        Span<byte> eui64 = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(eui64, ns.Eui64);
        int at = WriteDescriptor(page, 0, type: 1, eui64);
        at = WriteDescriptor(page, at, type: 2, ns.Nguid);
        at = WriteDescriptor(page, at, type: 3, ns.Uuid);
        _ = WriteDescriptor(page, at, type: 4, [ns.CommandSet]);
    }

    /// <summary>Structure 06h: the lengths of commands that transfer no data. Zero is no limit of their own.</summary>
    public static void WriteCommandSetLimits(Span<byte> page, byte commandSet)
    {
        if (commandSet == IoCommandSet.Zoned)
        {
            page[0] = ControllerCapabilities.MaxTransferShift;                                      // ZASL
            return;
        }

        page[0] = ControllerCapabilities.MaxTransferShift;                                          // VSL
        page[3] = 255;                                                                              // DMRL: all ranges that a command can have, less one
    }

    /// <summary>Structure 05h of zones (ZNS Command Set 1.1 §4.1.5.1).</summary>
    public static void WriteZonedNamespace(Span<byte> page, ZoneTable zones)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(page[2..], 1);                                     // OZCS: reads may cross the boundaries of zones
        BinaryPrimitives.WriteUInt32LittleEndian(page[4..], zones.MaxActiveResources);              // MAR
        BinaryPrimitives.WriteUInt32LittleEndian(page[8..], zones.MaxOpenResources);                // MOR
        for (int i = 0; i < BlockFormat.PlainCount; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(page[(2816 + (i * 16))..], zones.Size >> BlockFormat.Shift(i)); // ZSZE
        }
    }

    /// <summary>Structure 1Ch.</summary>
    public static void WriteCommandSetCombinations(Span<byte> page) => BinaryPrimitives.WriteUInt64LittleEndian(page, IoCommandSet.Combination);

    /// <summary>Structure 08h.</summary>
    public static void WriteCommonNamespace(Span<byte> page, NvmeNamespace ns)
    {
        page[8] = (byte)(ns.IsReadOnly ? 1 : 0);                               // NSATTR
        page[14] = 1;                                                          // NSTAT: ready
    }

    /// <summary>The LBA formats, and what goes with them.</summary>
    private static void WriteCapabilities(Span<byte> page, bool hasMetadata)
    {
        int count = BlockFormat.SupportedCount(hasMetadata);
        page[24] = TellsGranularity;                                           // NSFEAT
        page[25] = (byte)(count - 1);                                          // NLBAF
        page[27] = (byte)(hasMetadata ? 3 : 0);                                // MC: behind the data or in a buffer
        page[28] = (byte)(hasMetadata ? 0x1F : 0);                             // DPC: types 1 to 3, first and last
        page[33] = 0x09;                                                       // DLFEAT: deallocated blocks read zeros; Write Zeroes can deallocate
        for (int i = 0; i < count; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(page[(128 + (i * 4))..], (ushort)BlockFormat.Metadata(i));
            page[130 + (i * 4)] = (byte)BlockFormat.Shift(i);                  // LBADS
        }
    }

    private static int WriteDescriptor(Span<byte> page, int at, byte type, ReadOnlySpan<byte> value)
    {
        page[at] = type;
        page[at + 1] = (byte)value.Length;
        value.CopyTo(page[(at + 4)..]);
        return at + 4 + value.Length;
    }

    private static void WriteText(Span<byte> field, string text)
    {
        field.Fill((byte)' ');
        Encoding.ASCII.GetBytes(text, field);
    }
}
