using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Vfio.Devices.Nvme;

/// <summary>The structures of Identify (NVMe Base 2.0 §5.17.2, NVM Command Set 1.0 §4.1.5). Pages are given zeroed.</summary>
internal static class IdentifyData
{
    /// <summary>ONCS: Compare, Dataset Management, Write Zeroes, Select of Get Features, Verify.</summary>
    private const ushort OptionalCommands = 1 | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 7);

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
        page[111] = 1;                                                                              // CNTRLTYPE: I/O controller
        page[258] = 3;                                                                              // ACL
        page[259] = EventQueue.Limit - 1;                                                           // AERL
        page[260] = 0x03;                                                                           // FRMW: one slot, read only
        page[261] = LogAttributes;                                                                  // LPA
        page[262] = ErrorLog.Capacity - 1;                                                          // ELPE
        BinaryPrimitives.WriteUInt16LittleEndian(page[266..], FeatureSet.WarningTemperature);       // WCTEMP
        BinaryPrimitives.WriteUInt16LittleEndian(page[268..], FeatureSet.WarningTemperature + 10);  // CCTEMP
        page[512] = 0x66;                                                                           // SQES
        page[513] = 0x44;                                                                           // CQES
        BinaryPrimitives.WriteUInt32LittleEndian(page[516..], (uint)controller.Namespaces.Length);  // NN
        BinaryPrimitives.WriteUInt16LittleEndian(page[520..], OptionalCommands);                    // ONCS
        BinaryPrimitives.WriteUInt16LittleEndian(page[522..], 1);                                   // FUSES: compare and write
        page[525] = (byte)((controller.HasCache ? 1 : 0) | (3 << 1));                               // VWC: Flush takes all namespaces
        BinaryPrimitives.WriteUInt32LittleEndian(page[536..], SglList.Support);                     // SGLS
        string name = string.Create(CultureInfo.InvariantCulture, $"nqn.2026-01.net.vfio:nvme:{options.Serial}");
        Encoding.UTF8.GetBytes(name, page[768..1024]);                                              // SUBNQN

        // PSD0: MP in units of 10 mW.
        BinaryPrimitives.WriteUInt16LittleEndian(page[2048..], 2500);
    }

    /// <summary>Structure 00h.</summary>
    public static void WriteNamespace(Span<byte> page, NvmeNamespace ns)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(page, ns.Blocks);             // NSZE
        BinaryPrimitives.WriteUInt64LittleEndian(page[8..], ns.Blocks);        // NCAP
        BinaryPrimitives.WriteUInt64LittleEndian(page[16..], ns.Blocks);       // NUSE
        page[33] = 0x09;                                                       // DLFEAT: deallocated blocks read zeros; Write Zeroes can deallocate
        page[99] = (byte)(ns.Backend.IsReadOnly ? 1 : 0);                      // NSATTR
        ns.Nguid.CopyTo(page[104..]);                                          // NGUID
        BinaryPrimitives.WriteUInt64BigEndian(page[120..], ns.Eui64);          // EUI64
        page[130] = (byte)ns.BlockShift;                                       // LBAF0.LBADS
    }

    /// <summary>Structures 02h and 07h: the identifiers above one, ascending.</summary>
    public static void WriteNamespaceList(Span<byte> page, NvmeController controller, uint after)
    {
        int count = 0;
        foreach (NvmeNamespace ns in controller.Namespaces)
        {
            if (ns.Id > after && count < page.Length / sizeof(uint))
            {
                BinaryPrimitives.WriteUInt32LittleEndian(page[(count++ * sizeof(uint))..], ns.Id);
            }
        }
    }

    /// <summary>Structure 03h: EUI-64, NGUID, UUID and command set.</summary>
    public static void WriteDescriptors(Span<byte> page, NvmeNamespace ns)
    {
        Span<byte> eui64 = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(eui64, ns.Eui64);
        int at = WriteDescriptor(page, 0, type: 1, eui64);
        at = WriteDescriptor(page, at, type: 2, ns.Nguid);
        at = WriteDescriptor(page, at, type: 3, ns.Uuid);
        _ = WriteDescriptor(page, at, type: 4, [0]);
    }

    /// <summary>Structure 06h: the lengths of commands that transfer no data. Zero is no limit of their own.</summary>
    public static void WriteCommandSetLimits(Span<byte> page)
    {
        page[0] = ControllerCapabilities.MaxTransferShift;                                          // VSL
        page[3] = 255;                                                                              // DMRL: all ranges that a command can have, less one
    }

    /// <summary>Structure 08h.</summary>
    public static void WriteCommonNamespace(Span<byte> page, NvmeNamespace ns)
    {
        page[8] = (byte)(ns.Backend.IsReadOnly ? 1 : 0);                       // NSATTR
        page[14] = 1;                                                          // NSTAT: ready
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
