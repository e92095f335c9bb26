using System.Buffers.Binary;

namespace Vfio.Drivers.Nvme;

/// <summary>The SMART / Health Information log page (02h; Base 2.0 figure 207).</summary>
public sealed record NvmeSmartLog
{
    /// <summary>Bytes of the page.</summary>
    public const int Length = 512;

    /// <summary>What is critical; nothing when the device is well.</summary>
    public NvmeCriticalWarnings CriticalWarnings { get; init; }

    /// <summary>Composite temperature in kelvin; 0: not reported.</summary>
    public ushort Temperature { get; init; }

    /// <summary>Spare capacity that is left, in percent of the whole.</summary>
    public byte AvailableSpare { get; init; }

    /// <summary>Spare capacity below which the device warns, in percent.</summary>
    public byte AvailableSpareThreshold { get; init; }

    /// <summary>Life that is used, in percent of what the maker expects; may exceed 100.</summary>
    public byte PercentageUsed { get; init; }

    /// <summary>Thousands of 512-byte units read by hosts, rounded up.</summary>
    public UInt128 DataUnitsRead { get; init; }

    /// <summary>Thousands of 512-byte units written by hosts, rounded up.</summary>
    public UInt128 DataUnitsWritten { get; init; }

    /// <summary>Read commands completed.</summary>
    public UInt128 HostReadCommands { get; init; }

    /// <summary>Write commands completed.</summary>
    public UInt128 HostWriteCommands { get; init; }

    /// <summary>Minutes that the controller was busy with commands.</summary>
    public UInt128 ControllerBusyTime { get; init; }

    /// <summary>Power cycles.</summary>
    public UInt128 PowerCycles { get; init; }

    /// <summary>Hours that it was on.</summary>
    public UInt128 PowerOnHours { get; init; }

    /// <summary>Power losses without a shutdown before.</summary>
    public UInt128 UnsafeShutdowns { get; init; }

    /// <summary>Errors of media and data integrity that were not recovered.</summary>
    public UInt128 MediaErrors { get; init; }

    /// <summary>Entries that the error log ever had.</summary>
    public UInt128 ErrorLogEntries { get; init; }

    /// <summary>Minutes above the warning temperature.</summary>
    public uint WarningTemperatureTime { get; init; }

    /// <summary>Minutes above the critical temperature.</summary>
    public uint CriticalTemperatureTime { get; init; }

    /// <summary>Temperatures of the sensors 1 to 8 in kelvin; 0: there is none.</summary>
    public IReadOnlyList<ushort> Sensors { get; init; } = [];

    /// <summary>Decodes the page.</summary>
    /// <param name="data">Its <see cref="Length"/> bytes.</param>
    /// <returns>The fields.</returns>
    public static NvmeSmartLog Parse(ReadOnlySpan<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(data.Length, Length, nameof(data));
        ushort[] sensors = new ushort[8];
        for (int i = 0; i < sensors.Length; i++)
        {
            sensors[i] = BinaryPrimitives.ReadUInt16LittleEndian(data[(200 + (i * 2))..]);
        }

        return new NvmeSmartLog
        {
            CriticalWarnings = (NvmeCriticalWarnings)data[0],
            Temperature = BinaryPrimitives.ReadUInt16LittleEndian(data[1..]),
            AvailableSpare = data[3],
            AvailableSpareThreshold = data[4],
            PercentageUsed = data[5],
            DataUnitsRead = BinaryPrimitives.ReadUInt128LittleEndian(data[32..]),
            DataUnitsWritten = BinaryPrimitives.ReadUInt128LittleEndian(data[48..]),
            HostReadCommands = BinaryPrimitives.ReadUInt128LittleEndian(data[64..]),
            HostWriteCommands = BinaryPrimitives.ReadUInt128LittleEndian(data[80..]),
            ControllerBusyTime = BinaryPrimitives.ReadUInt128LittleEndian(data[96..]),
            PowerCycles = BinaryPrimitives.ReadUInt128LittleEndian(data[112..]),
            PowerOnHours = BinaryPrimitives.ReadUInt128LittleEndian(data[128..]),
            UnsafeShutdowns = BinaryPrimitives.ReadUInt128LittleEndian(data[144..]),
            MediaErrors = BinaryPrimitives.ReadUInt128LittleEndian(data[160..]),
            ErrorLogEntries = BinaryPrimitives.ReadUInt128LittleEndian(data[176..]),
            WarningTemperatureTime = BinaryPrimitives.ReadUInt32LittleEndian(data[192..]),
            CriticalTemperatureTime = BinaryPrimitives.ReadUInt32LittleEndian(data[196..]),
            Sensors = sensors,
        };
    }
}
