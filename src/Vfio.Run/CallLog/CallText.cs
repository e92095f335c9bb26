using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>A call as strace would tell it, made after the call was served: what the call wrote into the program's structures is in it.</summary>
internal static class CallText
{
    private const int CurrentFolder = -100;
    private const int MostData = 16;
    private static readonly FieldSymbols s_features = FieldSymbols.Values(
        "feature",
        (VfioUapi.VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, "VFIO_DEVICE_FEATURE_PCI_VF_TOKEN"),
        (VfioUapi.VFIO_DEVICE_FEATURE_MIGRATION, "VFIO_DEVICE_FEATURE_MIGRATION"),
        (VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE"),
        (VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY"),
        (VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP"),
        (VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, "VFIO_DEVICE_FEATURE_LOW_POWER_EXIT"),
        (VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_START, "VFIO_DEVICE_FEATURE_DMA_LOGGING_START"),
        (VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, "VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP"),
        (VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT"),
        (VfioUapi.VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, "VFIO_DEVICE_FEATURE_MIG_DATA_SIZE"),
        (VfioUapi.VFIO_DEVICE_FEATURE_BUS_MASTER, "VFIO_DEVICE_FEATURE_BUS_MASTER"),
        (VfioUapi.VFIO_DEVICE_FEATURE_DMA_BUF, "VFIO_DEVICE_FEATURE_DMA_BUF"),
        (VfioUapi.VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, "VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2"),
        (VfioUapi.VFIO_DEVICE_FEATURE_ZPCI_ERROR, "VFIO_DEVICE_FEATURE_ZPCI_ERROR"));

    private static readonly FieldSymbols s_extensions = FieldSymbols.Values(
        "extension",
        (VfioUapi.VFIO_TYPE1_IOMMU, "VFIO_TYPE1_IOMMU"),
        (VfioUapi.VFIO_SPAPR_TCE_IOMMU, "VFIO_SPAPR_TCE_IOMMU"),
        (VfioUapi.VFIO_TYPE1v2_IOMMU, "VFIO_TYPE1v2_IOMMU"),
        (VfioUapi.VFIO_DMA_CC_IOMMU, "VFIO_DMA_CC_IOMMU"),
        (VfioUapi.VFIO_EEH, "VFIO_EEH"),
        (VfioUapi.VFIO_SPAPR_TCE_v2_IOMMU, "VFIO_SPAPR_TCE_v2_IOMMU"),
        (VfioUapi.VFIO_NOIOMMU_IOMMU, "VFIO_NOIOMMU_IOMMU"),
        (VfioUapi.VFIO_UNMAP_ALL, "VFIO_UNMAP_ALL"),
        (VfioUapi.VFIO_UPDATE_VADDR, "VFIO_UPDATE_VADDR"));

    private static readonly FieldSymbols s_openFlags = FieldSymbols.Values("access", (0, "O_RDONLY"), (1, "O_WRONLY"), (2, "O_RDWR"));

    private static readonly (ulong Bit, string Name)[] s_moreOpenFlags =
    [
        (0x40, "O_CREAT"), (0x80, "O_EXCL"), (0x200, "O_TRUNC"), (0x400, "O_APPEND"), (0x800, "O_NONBLOCK"), (0x10000, "O_DIRECTORY"),
        (0x20000, "O_NOFOLLOW"), (0x80000, "O_CLOEXEC"), (0x200000, "O_PATH"),
    ];

    private static readonly (uint Bit, string Name)[] s_featureBits =
    [
        (VfioUapi.VFIO_DEVICE_FEATURE_PROBE, "VFIO_DEVICE_FEATURE_PROBE"),
        (VfioUapi.VFIO_DEVICE_FEATURE_GET, "VFIO_DEVICE_FEATURE_GET"),
        (VfioUapi.VFIO_DEVICE_FEATURE_SET, "VFIO_DEVICE_FEATURE_SET"),
    ];

    /// <summary>Writes an ioctl: <c>ioctl(600&lt;/dev/vfio/vfio&gt;, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)</c>.</summary>
    public static void WriteIoctl(StringBuilder text, SupervisedProcess process, int number, OpenFile file, uint command, ulong argument)
    {
        WriteDescriptor(text.Append("ioctl("), number, file);
        CommandDescription? description = CommandCatalog.Find(KindOf(file.File), command);
        text.Append(", ").Append(description?.Name ?? $"0x{command:x}");
        switch (description?.Argument)
        {
            case ArgumentKind.None:
                break;
            case ArgumentKind.Extension:
                s_extensions.Write(text.Append(", "), argument);
                break;
            case ArgumentKind.Structure:
                WriteStructure(text.Append(", "), process, description.Structure!, argument);
                break;
            case ArgumentKind.InterruptSet:
                WriteInterruptSet(text.Append(", "), process, description.Structure!, argument);
                break;
            case ArgumentKind.Feature:
                WriteFeature(text.Append(", "), process, argument);
                break;
            case ArgumentKind.Descriptor:
                Span<byte> bytes = stackalloc byte[4];
                if (process.Memory.Read(argument, bytes) == Errno.None)
                {
                    int other = BinaryPrimitives.ReadInt32LittleEndian(bytes);
                    WriteDescriptor(text.Append(", ["), other, process.Find(other));
                    text.Append(']');
                    break;
                }

                goto default;
            case ArgumentKind.Text:
                WritePath(text.Append(", "), process, argument);
                break;
            default:
                text.Append(CultureInfo.InvariantCulture, $", 0x{argument:x}");
                break;
        }

        text.Append(')');
    }

    /// <summary>Writes a call on a descriptor of ours that is no ioctl.</summary>
    public static void WriteFileCall(StringBuilder text, SupervisedProcess process, in SystemCallNotice call, OpenFile file)
    {
        string name = SystemCallNames.Get(call.Number);
        WriteDescriptor(text.Append(name).Append('('), (int)call[0], file);
        switch (call.Number)
        {
            case SystemCall.Read or SystemCall.Write or SystemCall.ReadVector or SystemCall.WriteVector:
                WriteBuffer(text, process, in call);
                break;
            case SystemCall.ReadAt or SystemCall.WriteAt or SystemCall.ReadVectorAt or SystemCall.WriteVectorAt or SystemCall.ReadVectorAt2 or SystemCall.WriteVectorAt2:
                WriteBuffer(text, process, in call);
                text.Append(", ");
                RegionPosition.Write(text, file, call[3]);
                break;
            case SystemCall.Close:
                break;
            default:
                text.Append(CultureInfo.InvariantCulture, $", 0x{call[1]:x}, 0x{call[2]:x}");
                break;
        }

        text.Append(')');
    }

    /// <summary>Writes a call on a path.</summary>
    public static void WritePathCall(StringBuilder text, SupervisedProcess process, in SystemCallNotice call)
    {
        text.Append(SystemCallNames.Get(call.Number)).Append('(');
        bool hasFolder = call.Number is SystemCall.OpenAt or SystemCall.OpenAt2 or SystemCall.StatAt or SystemCall.StatX or SystemCall.AccessAt or SystemCall.AccessAt2
            or SystemCall.ReadLinkAt;
        if (hasFolder)
        {
            int folder = (int)call[0];
            text.Append(folder == CurrentFolder ? "AT_FDCWD" : folder.ToString(CultureInfo.InvariantCulture)).Append(", ");
        }

        WritePath(text, process, call[hasFolder ? 1 : 0]);
        if (call.Number is SystemCall.Open or SystemCall.OpenAt)
        {
            WriteOpenFlags(text.Append(", "), call[hasFolder ? 2 : 1]);
        }

        text.Append(')');
    }

    /// <summary>Whether a call reads or writes.</summary>
    public static bool Transfers(int number) => number is SystemCall.Read or SystemCall.Write or SystemCall.ReadAt or SystemCall.WriteAt or SystemCall.ReadVector
        or SystemCall.WriteVector or SystemCall.ReadVectorAt or SystemCall.WriteVectorAt or SystemCall.ReadVectorAt2 or SystemCall.WriteVectorAt2;

    /// <summary>The kind of a file's commands.</summary>
    public static FileKind KindOf(VfioFile file) => file switch
    {
        VfioContainer { Iommu: SpaprIommu } => FileKind.SpaprContainer,
        VfioContainer => FileKind.Container,
        VfioGroupFile => FileKind.Group,
        VfioDeviceFile => FileKind.Device,
        MigrationDataFile => FileKind.Migration,
        Iommu.IommufdContext => FileKind.Iommufd,
        _ => FileKind.Other,
    };

    /// <summary>Writes a descriptor as <c>600&lt;/dev/vfio/vfio&gt;</c>.</summary>
    public static void WriteDescriptor(StringBuilder text, int number, OpenFile? file)
    {
        text.Append(number);
        if (file is not null)
        {
            text.Append('<').Append(file.Path).Append('>');
        }
    }

    /// <summary>The value of a small buffer, as registers are, and the address of a large one; and its length.</summary>
    private static void WriteBuffer(StringBuilder text, SupervisedProcess process, in SystemCallNotice call)
    {
        Span<byte> bytes = stackalloc byte[8];
        bool isVector = call.Number is not (SystemCall.Read or SystemCall.Write or SystemCall.ReadAt or SystemCall.WriteAt);
        if (isVector || call[2] > (ulong)bytes.Length || call[2] == 0 || process.Memory.Read(call[1], bytes[..(int)call[2]]) != Errno.None)
        {
            text.Append(CultureInfo.InvariantCulture, $", 0x{call[1]:x}, {call[2]}");
            return;
        }

        ulong value = 0;
        for (int i = (int)call[2] - 1; i >= 0; i--)
        {
            value = (value << 8) | bytes[i];
        }

        text.Append(CultureInfo.InvariantCulture, $", [0x{value:x}], {call[2]}");
    }

    private static void WriteOpenFlags(StringBuilder text, ulong flags)
    {
        s_openFlags.Write(text, flags & 3);
        foreach ((ulong bit, string name) in s_moreOpenFlags)
        {
            text.Append((flags & bit) != 0 ? $"|{name}" : string.Empty);
        }
    }

    private static void WritePath(StringBuilder text, SupervisedProcess process, ulong address)
    {
        if (CallerText.TryReadPath(process.Memory, address, out string path) == Errno.None)
        {
            text.Append('"').Append(path.Replace("\n", "\\n", StringComparison.Ordinal)).Append('"');
        }
        else
        {
            text.Append(CultureInfo.InvariantCulture, $"0x{address:x}");
        }
    }

    private static void WriteStructure(StringBuilder text, SupervisedProcess process, StructureText structure, ulong address)
    {
        if (ReadStructure(process, structure.Size, address) is { } bytes)
        {
            structure.Write(text, bytes);
        }
        else
        {
            text.Append(CultureInfo.InvariantCulture, $"0x{address:x}");
        }
    }

    private static void WriteInterruptSet(StringBuilder text, SupervisedProcess process, StructureText structure, ulong address)
    {
        if (ReadStructure(process, structure.Size, address) is not { } bytes || bytes.Length < structure.Size)
        {
            WriteStructure(text, process, structure, address);
            return;
        }

        uint type = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4)) & VfioUapi.VFIO_IRQ_SET_DATA_TYPE_MASK;
        int width = type switch
        {
            VfioUapi.VFIO_IRQ_SET_DATA_EVENTFD => 4,
            VfioUapi.VFIO_IRQ_SET_DATA_BOOL => 1,
            _ => 0,
        };
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(16));
        byte[] data = new byte[width * Math.Min(count, MostData)];
        if (data.Length == 0 || process.Memory.Read(address + (ulong)structure.Size, data) != Errno.None)
        {
            structure.Write(text, bytes);
            return;
        }

        IEnumerable<int> values = Enumerable.Range(0, data.Length / width).Select(i => width == 1 ? data[i] : BitConverter.ToInt32(data, i * width));
        structure.Write(text, bytes, $", data=[{string.Join(", ", values)}{(count > MostData ? ", …" : string.Empty)}]");
    }

    private static void WriteFeature(StringBuilder text, SupervisedProcess process, ulong address)
    {
        byte[] bytes = new byte[8];
        if (process.Memory.Read(address, bytes) != Errno.None)
        {
            text.Append(CultureInfo.InvariantCulture, $"0x{address:x}");
            return;
        }

        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4));
        text.Append(CultureInfo.InvariantCulture, $"{{argsz={BinaryPrimitives.ReadUInt32LittleEndian(bytes)}, flags=");
        foreach ((uint bit, string name) in s_featureBits)
        {
            text.Append((flags & bit) != 0 ? name + "|" : string.Empty);
        }

        s_features.Write(text, flags & VfioUapi.VFIO_DEVICE_FEATURE_MASK);
        text.Append('}');
    }

    /// <summary>As much of a structure as its first field, its length, says.</summary>
    private static byte[]? ReadStructure(SupervisedProcess process, int size, ulong address)
    {
        const int Least = 4;
        byte[] bytes = new byte[size];
        if (process.Memory.Read(address, bytes.AsSpan(0, Least)) != Errno.None)
        {
            return null;
        }

        int given = (int)Math.Clamp(BinaryPrimitives.ReadUInt32LittleEndian(bytes), Least, (uint)size);
        return process.Memory.Read(address, bytes.AsSpan(0, given)) == Errno.None ? bytes[..given] : bytes[..Least];
    }
}
