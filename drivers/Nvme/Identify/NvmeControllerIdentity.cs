using System.Buffers.Binary;

namespace Vfio.Drivers.Nvme;

/// <summary>The Identify Controller data structure (CNS 01h; Base 2.0 figure 275), as far as the driver and its users want it.</summary>
public sealed record NvmeControllerIdentity
{
    /// <summary>Bytes of the structure.</summary>
    public const int Length = 4096;

    /// <summary>PCI vendor (VID).</summary>
    public ushort VendorId { get; init; }

    /// <summary>PCI subsystem vendor (SSVID).</summary>
    public ushort SubsystemVendorId { get; init; }

    /// <summary>Serial number (SN); what is not printable is a question mark, here and below.</summary>
    public string SerialNumber { get; init; } = string.Empty;

    /// <summary>Model number (MN).</summary>
    public string ModelNumber { get; init; } = string.Empty;

    /// <summary>Firmware revision (FR).</summary>
    public string FirmwareRevision { get; init; } = string.Empty;

    /// <summary>IEEE OUI identifier, 24 bits.</summary>
    public uint IeeeOui { get; init; }

    /// <summary>Maximum data transfer size (MDTS): a power of two of the smallest memory page; 0: no limit.</summary>
    public byte MaximumDataTransferSize { get; init; }

    /// <summary>Controller identifier (CNTLID).</summary>
    public ushort ControllerId { get; init; }

    /// <summary>Version (VER).</summary>
    public Version Version { get; init; } = new();

    /// <summary>RTD3 entry latency (RTD3E), which bounds a normal shutdown; zero when not reported.</summary>
    public TimeSpan ShutdownLatency { get; init; }

    /// <summary>Optional admin commands (OACS); bit 8: Doorbell Buffer Config.</summary>
    public ushort OptionalAdminCommands { get; init; }

    /// <summary>Aborts that may be outstanding at once (ACL + 1).</summary>
    public int AbortLimit { get; init; }

    /// <summary>Error log entries that are kept (ELPE + 1).</summary>
    public int ErrorLogEntries { get; init; }

    /// <summary>Warning composite temperature threshold (WCTEMP), in kelvin; 0: not reported.</summary>
    public ushort WarningTemperature { get; init; }

    /// <summary>Critical composite temperature threshold (CCTEMP), in kelvin; 0: not reported.</summary>
    public ushort CriticalTemperature { get; init; }

    /// <summary>Bytes of the subsystem (TNVMCAP); 0: not reported.</summary>
    public UInt128 TotalCapacity { get; init; }

    /// <summary>Smallest and largest submission queue entry (SQES), as powers of two in bits 3:0 and 7:4.</summary>
    public byte SubmissionEntrySizes { get; init; }

    /// <summary>Smallest and largest completion queue entry (CQES), as powers of two in bits 3:0 and 7:4.</summary>
    public byte CompletionEntrySizes { get; init; }

    /// <summary>Highest namespace identifier (NN).</summary>
    public uint NamespaceCount { get; init; }

    /// <summary>Optional NVM commands (ONCS): bit 2 dataset management, bit 3 write zeroes.</summary>
    public ushort OptionalCommands { get; init; }

    /// <summary>Whether there is a volatile write cache (VWC bit 0), which Flush empties.</summary>
    public bool HasVolatileWriteCache { get; init; }

    /// <summary>SGL support (SGLS); bits 1:0 not 0: the NVM command set takes SGLs.</summary>
    public uint SglSupport { get; init; }

    /// <summary>NVM subsystem qualified name (SUBNQN).</summary>
    public string SubsystemName { get; init; } = string.Empty;

    internal bool SupportsDatasetManagement => (OptionalCommands & 1 << 2) != 0;

    internal bool SupportsWriteZeroes => (OptionalCommands & 1 << 3) != 0;

    internal bool SupportsDoorbellBuffers => (OptionalAdminCommands & 1 << 8) != 0;

    internal bool SupportsSgl => (SglSupport & 3) is 1 or 2;

    /// <summary>Whether entries of 64 and 16 bytes, which every controller must take, are among the sizes.</summary>
    internal bool TakesStandardEntries => Contains(SubmissionEntrySizes, 6) && Contains(CompletionEntrySizes, 4);

    /// <summary>Decodes the structure.</summary>
    /// <param name="data">Its <see cref="Length"/> bytes.</param>
    /// <returns>The fields.</returns>
    public static NvmeControllerIdentity Parse(ReadOnlySpan<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(data.Length, Length, nameof(data));
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(data[80..]);
        return new NvmeControllerIdentity
        {
            VendorId = BinaryPrimitives.ReadUInt16LittleEndian(data),
            SubsystemVendorId = BinaryPrimitives.ReadUInt16LittleEndian(data[2..]),
            SerialNumber = NvmeText.Read(data[4..24]),
            ModelNumber = NvmeText.Read(data[24..64]),
            FirmwareRevision = NvmeText.Read(data[64..72]),
            IeeeOui = BinaryPrimitives.ReadUInt32LittleEndian(data[73..]) & 0xFFFFFF,
            MaximumDataTransferSize = data[77],
            ControllerId = BinaryPrimitives.ReadUInt16LittleEndian(data[78..]),
            Version = ParseVersion(version),
            ShutdownLatency = TimeSpan.FromMicroseconds(BinaryPrimitives.ReadUInt32LittleEndian(data[88..])),
            OptionalAdminCommands = BinaryPrimitives.ReadUInt16LittleEndian(data[256..]),
            AbortLimit = data[258] + 1,
            ErrorLogEntries = data[262] + 1,
            WarningTemperature = BinaryPrimitives.ReadUInt16LittleEndian(data[266..]),
            CriticalTemperature = BinaryPrimitives.ReadUInt16LittleEndian(data[268..]),
            TotalCapacity = BinaryPrimitives.ReadUInt128LittleEndian(data[280..]),
            SubmissionEntrySizes = data[512],
            CompletionEntrySizes = data[513],
            NamespaceCount = BinaryPrimitives.ReadUInt32LittleEndian(data[516..]),
            OptionalCommands = BinaryPrimitives.ReadUInt16LittleEndian(data[520..]),
            HasVolatileWriteCache = (data[525] & 1) != 0,
            SglSupport = BinaryPrimitives.ReadUInt32LittleEndian(data[536..]),
            SubsystemName = NvmeText.Read(data[768..1024]),
        };
    }

    /// <summary>Major, minor and tertiary number, as in VS and VER.</summary>
    internal static Version ParseVersion(uint value) => new((int)(value >> 16), (int)(value >> 8 & 0xFF), (int)(value & 0xFF));

    private static bool Contains(byte sizes, int wanted) => (sizes & 0xF) <= wanted && wanted <= sizes >> 4;
}
